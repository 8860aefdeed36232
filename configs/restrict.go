package configs

import "slices"

// Restrict makes the access rules of a configuration as strict as those of
// another version of the same file, as far as that version could be read: which
// channels may get confidential events, only, the fences of included files, and
// egress. What either version forbids is forbidden.
func (c *Config) Restrict(by *Config) {
	if by.Egress == EgressPublic {
		c.Egress = EgressPublic
	}
	for i := range c.Destinations {
		d := &c.Destinations[i]
		other := by.Destination(d.Name)
		if other == nil {
			continue // that version says nothing about it
		}
		d.Confidential = d.Confidential.and(other.Confidential)
		d.OnlyToo, d.ChannelsToo = other.Only, other.Channels
	}
	for i := range c.Routes {
		r := &c.Routes[i]
		f := by.Fences[r.Pos.File]
		if f == nil {
			continue
		}
		r.FenceToo = f
		r.To = slices.DeleteFunc(r.To, func(to To) bool {
			return !to.Placed() && !f.Permits(to.Address, c.Destination(to.Address.Destination))
		})
	}
}

// and allows what both allow.
func (c Confidential) and(other Confidential) Confidential {
	switch {
	case c.All:
		return other
	case other.All:
		return c
	}
	return Confidential{Channels: slices.DeleteFunc(slices.Clone(c.Channels), func(name string) bool { return !slices.Contains(other.Channels, name) })}
}
