package server

import (
	"cmp"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// noMore has the kernel drop requests for new connections, so that none is half
// made when the listener is closed: who comes then asks again a second later,
// and is refused.
func noMore(l *net.TCPListener) error {
	const flags, syn, ack = 13, 0x02, 0x10 // of the TCP header
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: syn | ack},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16}, // all of the packet
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var attached error
	err = raw.Control(func(fd uintptr) {
		attached = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	})
	return cmp.Or(err, os.NewSyscallError("setsockopt", attached))
}
