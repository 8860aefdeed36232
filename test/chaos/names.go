package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// lookup is a name of a chat, and what a resolver says of it.
type lookup struct {
	host    string
	answers []string // addresses, given in that order; those before a "|" are given first, then those behind it, and so on in turns
	here    bool     // leads to the chat where private networks are permitted
}

// lookups lead to this machine, and to where no chat is.
var lookups = []lookup{
	{"127.0.0.1", nil, true},
	{"[::ffff:127.0.0.1]", nil, true},
	{"plain.test", []string{"127.0.0.1"}, true},
	{"trailing.test.", []string{"127.0.0.1"}, true},
	{"mapped.test", []string{"::ffff:127.0.0.1"}, true},
	{"mixed.test", []string{"169.254.169.254", "127.0.0.1"}, true},
	{"rebind.test", []string{"127.0.0.1", "|", "169.254.169.254"}, true},
	{"elsewhere.test", []string{"169.254.169.254", "|", "127.0.0.1"}, true},
	{"metadata.test", []string{"169.254.169.254"}, false},
	{"metadata6.test", []string{"fd00:ec2::254"}, false},
	{"alibaba.test", []string{"100.100.100.200"}, false},
	{"zero.test", []string{"0.0.0.0"}, false},
	{"zero6.test", []string{"::"}, false},
	{"linklocal.test", []string{"fe80::1"}, false},
	{"nat64.test", []string{"64:ff9b::7f00:1"}, false},
	{"localnat64.test", []string{"64:ff9b:1::7f00:1"}, false},
	{"sixtofour.test", []string{"2002:7f00:1::1"}, false},
	{"teredo.test", []string{"2001:0:7f00:1::80ff:fffe"}, false},
	{"compatible.test", []string{"::127.0.0.1"}, false},
	{"multicast.test", []string{"224.0.0.1"}, false},
	{"0x7f.1", []string{"127.0.0.1"}, false},
	{"0x7f000001", []string{"127.0.0.1"}, false},
	{"2130706433", []string{"127.0.0.1"}, false},
	{"0177.0.0.1", []string{"127.0.0.1"}, false},
	{"127.1", []string{"127.0.0.1"}, false},
	{"0", []string{"0.0.0.0"}, false},
}

// names gives the chat one name of each kind. First only public addresses are
// permitted, and nothing may come; then private ones are, and what leads to the
// chat must come. The relay's resolver is one of ours, in a mount namespace of
// its own.
func (b *bench) names(ctx context.Context) error {
	r, err := b.rig(b.apart(len(lookups)), "--pace", "0.002")
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.resolved(); errors.Is(err, errSkip) {
		b.printf("names: %v", err)
		b.add("names (a resolver is not permitted here)", 0)
		return nil
	} else if err != nil {
		return err
	}
	inside, err := newFront(r.chat.Addr())
	if err != nil {
		return err
	}
	r.cleanup = append(r.cleanup, func() { inside.listener.Close() })
	_, port, _ := net.SplitHostPort(inside.listener.Addr().String())
	for i, l := range lookups {
		r.env[i] = fmt.Sprintf("HOOK%d=http://%s:%s/hooks/%s", i, l.host, port, r.plan.dests[i].hook)
	}
	if err := r.configure("egress: public\n" + r.plan.yaml()); err != nil {
		return err
	}
	if r.mustStart(ctx) != nil {
		return nil
	}
	r.rounds(ctx, 2)
	for i, l := range lookups {
		r.counted(ctx, i, l.host+" with egress public", "egress", "network", "timeout")
	}
	b.add("names", len(lookups))
	b.add("forbidden connections made", inside.carried())
	if n := inside.carried(); n > 0 {
		b.violate(strange, "%d connections to this machine where only public addresses are permitted", n)
	}
	return r.corrected(ctx, inside)
}

// corrected permits private networks and corrects the names that lead to no
// chat: all that was accepted arrives.
func (r *rig) corrected(ctx context.Context, inside *front) error {
	for i, l := range lookups {
		if !l.here {
			r.env[i] = fmt.Sprintf("HOOK%d=%s", i, r.chat.URL(r.plan.dests[i].hook))
		}
	}
	before := inside.carried()
	if err := r.configure(r.plan.yaml()); err != nil {
		return err
	}
	r.restart(ctx)
	r.rounds(ctx, 1)
	r.finish(ctx, rules{}, 60*time.Second)
	if inside.carried() == before {
		r.b.violate(untrue, "no name leads to the chat where it may: the names prove nothing")
	}
	return nil
}

// restart ends the relay in good order and starts it again.
func (r *rig) restart(ctx context.Context) {
	if r.expectAlive() {
		r.terminate(syscall.SIGTERM)
		_ = r.mustStart(ctx) // noted as a violation
	}
}

// resolved starts a resolver, and from here on relays in a mount namespace where
// resolv.conf names it. Where that is not permitted the error is errSkip.
func (r *rig) resolved() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: mounting is not permitted here", errSkip)
	}
	d, err := newResolver()
	if err != nil {
		return err
	}
	r.cleanup = append(r.cleanup, func() { d.conn.Close() })
	file := filepath.Join(r.dir, "resolv.conf")
	host, _, _ := net.SplitHostPort(d.conn.LocalAddr().String())
	if err := os.WriteFile(file, []byte("nameserver "+host+"\noptions timeout:1 attempts:1\n"), 0o644); err != nil {
		return fmt.Errorf("write resolv.conf: %w", err)
	}
	script := `mount --bind "$0" /etc/resolv.conf && exec "$@"`
	r.command = append([]string{"unshare", "--mount", "--propagation", "private", "sh", "-c", script, file}, r.command...)
	return nil
}

// resolver answers questions about names as lookups has them.
type resolver struct {
	conn net.PacketConn

	mu    sync.Mutex
	asked map[string]int // by name and type
}

// newResolver listens on an address of loopback; only root may.
func newResolver() (*resolver, error) {
	conn, err := net.ListenPacket("udp", "127.53.53.53:53")
	if err != nil {
		return nil, fmt.Errorf("%w: listening on port 53 is not permitted here", errSkip)
	}
	d := &resolver{conn: conn, asked: map[string]int{}}
	go d.serve()
	return d, nil
}

func (d *resolver) serve() {
	buf := make([]byte, 4096)
	for {
		n, from, err := d.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := d.answer(buf[:n]); answer != nil {
			_, _ = d.conn.WriteTo(answer, from) // who does not get it asks again
		}
	}
}

const (
	typeA    = 1
	typeAAAA = 28
)

// answer makes the answer to a question (RFC 1035, 4.1).
func (d *resolver) answer(question []byte) []byte {
	const header = 12
	if len(question) < header+5 {
		return nil
	}
	var labels []string
	at := header
	for question[at] != 0 {
		end := at + 1 + int(question[at])
		if end+5 > len(question) {
			return nil
		}
		labels = append(labels, string(question[at+1:end]))
		at = end
	}
	at++ // the root
	kind := binary.BigEndian.Uint16(question[at:])
	addresses, known := d.addresses(strings.Join(labels, "."), kind)
	answer := append([]byte{}, question[:at+4]...)
	flags := uint16(0x8180) // an answer, recursion wanted and available
	if !known {
		flags |= 3 // no such name
	}
	binary.BigEndian.PutUint16(answer[2:], flags)
	binary.BigEndian.PutUint16(answer[6:], uint16(len(addresses)))
	clear(answer[8:header]) // no authority, nothing additional
	for _, ip := range addresses {
		answer = append(answer, 0xc0, header) // the name of the question
		answer = binary.BigEndian.AppendUint16(answer, kind)
		answer = append(answer, 0, 1, 0, 0, 0, 0) // IN, to be forgotten at once
		answer = binary.BigEndian.AppendUint16(answer, uint16(len(ip)))
		answer = append(answer, ip...)
	}
	return answer
}

// addresses are a name's of one type, at this moment.
func (d *resolver) addresses(name string, kind uint16) (all [][]byte, known bool) {
	for _, l := range lookups {
		if !strings.EqualFold(strings.TrimSuffix(l.host, "."), name) {
			continue
		}
		turns := strings.Split(strings.Join(l.answers, " "), "|")
		d.mu.Lock()
		key := fmt.Sprint(name, kind)
		turn := turns[d.asked[key]%len(turns)]
		d.asked[key]++
		d.mu.Unlock()
		for _, text := range strings.Fields(turn) {
			ip := netip.MustParseAddr(text)
			if ip.Is4() == (kind == typeA) && (kind == typeA || kind == typeAAAA) {
				all = append(all, ip.AsSlice())
			}
		}
		return all, true
	}
	return nil, false
}
