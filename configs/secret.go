package configs

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a string that never prints: every way that Go can format, marshal
// or log it gives "[redacted]". The only way to its value is [Secret.Reveal].
type Secret struct {
	value   string
	missing bool
}

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{value: value} }

// newPlaceholder is what stands for a secret that is not at hand.
func newPlaceholder(value string) Secret { return Secret{value: value, missing: true} }

// Reveal is the value itself, for the one place that must send or compare it.
func (s Secret) Reveal() string { return s.value }

// IsZero tells whether there is no value.
func (s Secret) IsZero() bool { return s.value == "" }

// Missing tells whether the secret is not at hand: its value is a placeholder that
// proves nothing. Only a loose [Reading] allows that.
func (s Secret) Missing() bool { return s.missing }

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redacted)) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (s Secret) MarshalYAML() (any, error)    { return redacted, nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
