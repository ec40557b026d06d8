package kernel

import (
	"encoding/binary"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A receiver has the parameters and results of recvmsg. unix.Recvmsg would ask
// for the sender's address, which says nothing here, at the price of another
// system call.
type receiver struct {
	hdr unix.Msghdr
	iov [2]unix.Iovec
	oob [128]byte

	// Results.
	size  int       // the message's
	at    time.Time // when its last frame came; zero if not known
	drops uint32    // of the socket until then, 0 if there were none
}

// recv receives a message into p, and what does not fit into more. It does not
// wait.
func (r *receiver) recv(fd int, p, more []byte) unix.Errno {
	n := 0
	for _, b := range [][]byte{p, more} {
		if len(b) > 0 {
			r.iov[n].Base = &b[0]
			r.iov[n].SetLen(len(b))
			n++
		}
	}
	r.hdr = unix.Msghdr{Iov: &r.iov[0], Control: &r.oob[0]}
	r.hdr.SetIovlen(n)
	r.hdr.SetControllen(len(r.oob))
	size, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.hdr)), unix.MSG_DONTWAIT|unix.MSG_TRUNC)
	r.iov = [2]unix.Iovec{}
	if errno != 0 {
		return errno
	}
	r.size, r.at, r.drops = int(size), time.Time{}, 0
	r.control(r.oob[:min(int(r.hdr.Controllen), len(r.oob))])
	return 0
}

// control reads the control messages.
func (r *receiver) control(oob []byte) {
	for len(oob) >= unix.SizeofCmsghdr {
		hdr, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return
		}
		oob = rest
		if hdr.Level != unix.SOL_SOCKET {
			continue
		}
		switch hdr.Type {
		case unix.SO_RXQ_OVFL:
			if len(data) >= 4 {
				r.drops = binary.NativeEndian.Uint32(data)
			}
		case unix.SO_TIMESTAMPNS_NEW:
			if len(data) >= 16 {
				r.at = time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
			}
		}
	}
}
