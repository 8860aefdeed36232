package delivery

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"

	"github.com/gitlab-mattermost/relay/configs"
)

// never are addresses that no chat server has: "this network", link-local ones,
// where most clouds keep their metadata services, multicast, and the addresses of
// metadata services elsewhere.
var never = append([]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/3"),
	netip.MustParsePrefix("::/128"),
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("ff00::/8"),
	netip.MustParsePrefix("fd00:ec2::/112"),   // Amazon: ::254 instances, ::23 pods, ::253 names
	netip.MustParsePrefix("fd20:ce::254/128"), // Google
	netip.MustParsePrefix("fd00:42::42/128"),  // Scaleway
	netip.MustParsePrefix("64:ff9b::/96"),     // NAT64 (RFC 6052): any IPv4 address, under another name
	netip.MustParsePrefix("64:ff9b:1::/48"),   // NAT64 of a local network (RFC 8215)
}, metadata4...)

// metadata4 are the IPv4 addresses of metadata services. They are refused within
// an IPv6 address too: a network can choose any prefix for NAT64.
var metadata4 = []netip.Prefix{
	netip.MustParsePrefix("169.254.169.254/32"), // nearly all
	netip.MustParsePrefix("169.254.170.2/32"),   // Amazon, for containers
	netip.MustParsePrefix("169.254.170.23/32"),  // Amazon, for pods
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle
}

// private are the networks where self-hosted chat lives: loopback, RFC 1918,
// the shared range of RFC 6598, and unique local addresses.
var private4 = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"),
}

var private6 = []netip.Prefix{netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("fc00::/7")}

// guard says where the relay may connect to. It is asked when a connection is
// dialed, about the address that the name was resolved to, so that no name and
// no redirect gets around it.
type guard struct{ *ssrf.Guardian }

func newGuard(egress string) guard {
	opt := []ssrf.Option{ssrf.WithAnyPort()}
	if egress != configs.EgressPublic {
		opt = append(opt, ssrf.WithAllowedV4Prefixes(private4...), ssrf.WithAllowedV6Prefixes(private6...))
	}
	return guard{ssrf.New(opt...)}
}

// egressError: the relay does not connect there. It does not name the address,
// which an operator finds in relay.yaml.
type egressError struct{ why string }

func (e *egressError) Error() string { return "not allowed to connect there: " + e.why }

// control is a [net.Dialer]'s Control.
func (g guard) control(network, address string, _ syscall.RawConn) error {
	where, err := netip.ParseAddrPort(address)
	if err != nil {
		return &egressError{"it is no address"}
	}
	return g.allow(where.Addr())
}

func (g guard) allow(ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	if within(never, ip) || ip.Is6() && within(metadata4, last4(ip)) {
		return &egressError{"link-local, metadata and multicast addresses are never used"}
	}
	if g.SafeAddr(ip) != nil {
		return &egressError{"the address is not public (egress: public), or of a reserved range"}
	}
	return nil
}

func within(prefixes []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// last4 is the IPv4 address in the last 32 bits of an IPv6 address, where NAT64
// with a prefix of 96 bits has it.
func last4(ip netip.Addr) netip.Addr {
	b := ip.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}

// resolveTimeout is how long a name may take that a proxy will resolve as well.
const resolveTimeout = time.Second

// host tells whether a proxy may be asked to connect to this host. A name that
// cannot be resolved here is the proxy's to know.
func (g guard) host(ctx context.Context, host string) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		return g.allow(ip)
	}
	if numeric(host) {
		return &egressError{"it is no address in the usual notation"}
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	ips, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for _, ip := range ips {
		if err := g.allow(ip); err != nil {
			return err
		}
	}
	return nil
}

// numeric tells whether some resolver would take a host for an IPv4 address in
// another notation: as a decimal, octal or hexadecimal number, or with fewer dots
// (inet_aton; https://url.spec.whatwg.org/#ends-in-a-number-checker).
func numeric(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	_, err := strconv.ParseUint(last, 0, 64)
	return err == nil || last != "" && strings.Trim(last, "0123456789") == ""
}
