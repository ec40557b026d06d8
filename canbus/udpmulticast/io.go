package udpmulticast

import (
	"net"
	"net/netip"
	"runtime"
	"time"

	"example.com/isotp/canbus"
	"golang.org/x/net/ipv4"
)

// maxDatagram is the length of the longest datagram. Where datagrams come one at a time
// the buffer has room for it, because on Windows a datagram that does not fit is an error.
const maxDatagram = 1 << 16

// A datagram of both families: ipv6.Message is the same type.
type datagram = ipv4.Message

// A transfer reads or writes datagrams, and returns how many. The flags are always 0.
type transfer = func(batch []datagram, flags int) (int, error)

// A receiver receives datagrams in batches, where the system has a call for that.
type receiver struct {
	read  transfer
	batch []datagram
	group netip.Addr
	told  func(oob []byte) net.IP // where a datagram went; nil if it is not told
}

func (r *receiver) init(read transfer, group netip.Addr, told func([]byte) net.IP) {
	count, size := batchLen, 4*maxMessage
	if runtime.GOOS != "linux" {
		count, size = 1, maxDatagram
	}
	r.read, r.group, r.told = read, group, told
	r.batch = make([]datagram, count)
	for i := range r.batch {
		r.batch[i].Buffers = [][]byte{make([]byte, size)}
		if told != nil {
			r.batch[i].OOB = make([]byte, 128)
		}
	}
}

// receive waits for at least one datagram.
func (r *receiver) receive(most int) ([]datagram, error) {
	n, err := r.read(r.batch[:min(most, len(r.batch))], 0)
	if err != nil {
		return nil, err
	}
	return r.batch[:n], nil
}

// size returns how long a datagram may have been: the system cuts off what does not fit.
func (r *receiver) size(d *datagram) int {
	if d.N < len(d.Buffers[0]) {
		return d.N
	}
	return maxDatagram
}

// source is where a datagram came from.
func (r *receiver) source(d *datagram) netip.AddrPort {
	if a, ok := d.Addr.(*net.UDPAddr); ok {
		return plainAddr(a.AddrPort())
	}
	return netip.AddrPort{}
}

// forGroup reports whether a datagram went to the group. Others went to the same port of
// the computer itself, or of another group that a program on this computer has joined.
func (r *receiver) forGroup(d *datagram) bool {
	if r.told == nil {
		return true
	}
	to, ok := netip.AddrFromSlice(r.told(d.OOB[:d.NN]))
	return ok && to.Unmap() == r.group
}

// A sender sends datagrams in batches.
type sender struct {
	write transfer
	batch [batchLen]datagram
}

func (s *sender) init(write transfer) {
	s.write = write
	for i := range s.batch {
		s.batch[i].Buffers = [][]byte{make([]byte, 0, maxMessage)}
	}
}

// send sends at least one frame, or none with an error.
func (s *sender) send(frames []canbus.Frame) (int, error) {
	if len(frames) == 0 {
		return 0, nil
	}
	now := time.Now()
	for i := range frames {
		buf := &s.batch[i].Buffers[0]
		*buf = appendMessage((*buf)[:0], &frames[i], now)
	}
	return s.write(s.batch[:len(frames)], 0)
}
