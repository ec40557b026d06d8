package udpmulticast

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/lifetime"
	"example.com/isotp/canbus/internal/line"
	"example.com/isotp/internal/sockdrops"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

func init() {
	canbus.Register("udp", func(_ context.Context, name string) (canbus.Bus, error) {
		a, err := parseAddress(name)
		if err != nil {
			return nil, &canbus.NameError{Err: err}
		}
		b, err := open(a)
		if err != nil {
			return nil, err
		}
		return b, nil
	})
	canbus.RegisterIdentity("udp", identity)
}

var (
	_ canbus.Bus         = (*Bus)(nil)
	_ canbus.Describer   = (*Bus)(nil)
	_ canbus.TryWriter   = (*Bus)(nil)
	_ canbus.DropCounter = (*Bus)(nil)
)

// The bit rates of the wire that a Bus pretends to have. A frame of 8 bytes takes 45 us
// then. python-can, which has room for 277 frames, reads one in 40 to 60 us: it has read
// most of a message of 4095 bytes when the last frame is sent. At 4 Mbit/s it lost some.
const (
	defaultBitrate     = 3_000_000
	defaultDataBitrate = 8_000_000
)

const (
	// batchLen is how many datagrams one system call moves at most, on Linux.
	batchLen = 64
	// receiveBuffer has room for some 5000 frames. Without privileges Linux grants
	// less.
	receiveBuffer = 4 << 20
)

// A Bus is a member of a multicast group.
//
// It has two sockets. One receives; it is bound to the group's port, which all members
// share. The other sends, from an address and port that no other member has, not even one
// in the same process. By these the Bus knows its own datagrams, and drops them, because
// the system gives a member of a group also the datagrams that it has sent itself.
type Bus struct {
	line line.Line
	life *lifetime.Lifetime
	rx   *net.UDPConn
	tx   *net.UDPConn
	own  netip.AddrPort // the address of tx
	in   receiver
	out  sender

	closing   sync.Once
	malformed atomic.Uint64
	drops     sockdrops.Counter
}

// Open joins a group: "239.74.163.2:43113", with the interface and the bit rate that may
// follow (see the package's documentation).
func Open(name string) (*Bus, error) {
	a, err := parseAddress(name)
	if err != nil {
		return nil, err
	}
	return open(a)
}

func open(a address) (*Bus, error) {
	ifi, local, err := a.local()
	if err != nil {
		return nil, err
	}
	group := net.UDPAddrFromAddrPort(a.group)
	rx, err := net.ListenMulticastUDP(a.network(), ifi, group)
	if err != nil {
		return nil, a.openError("join", err)
	}
	tx, err := net.DialUDP(a.network(), local, group)
	if err != nil {
		rx.Close()
		return nil, a.openError("send to", err)
	}
	b := &Bus{rx: rx, tx: tx, life: lifetime.New(func() { rx.Close(); tx.Close() })}
	b.own = plainAddr(tx.LocalAddr().(*net.UDPAddr).AddrPort())
	b.line.Bitrate, b.line.DataBitrate = defaultBitrate, defaultDataBitrate
	if a.bitrate != 0 {
		b.line.Bitrate, b.line.DataBitrate = max(a.bitrate, 0), max(a.bitrate, 0)
	}
	if err := b.setup(ifi, a.group.Addr()); err != nil {
		rx.Close()
		tx.Close()
		return nil, a.openError("set up", err)
	}
	return b, nil
}

// setup sets the sockets' options and makes the batches.
func (b *Bus) setup(ifi *net.Interface, group netip.Addr) error {
	sockdrops.Grow(b.rx, receiveBuffer)
	raw, err := b.rx.SyscallConn()
	if err != nil {
		return err
	}
	b.drops.Init(raw)
	// Windows heeds the loopback of the socket that receives, other systems that of the
	// socket that sends.
	if group.Is4() {
		rx, tx := ipv4.NewPacketConn(b.rx), ipv4.NewPacketConn(b.tx)
		err = errors.Join(tx.SetMulticastTTL(1), tx.SetMulticastLoopback(true), rx.SetMulticastLoopback(true))
		if ifi != nil {
			err = errors.Join(err, tx.SetMulticastInterface(ifi))
		}
	} else {
		rx, tx := ipv6.NewPacketConn(b.rx), ipv6.NewPacketConn(b.tx)
		err = errors.Join(tx.SetMulticastHopLimit(1), tx.SetMulticastLoopback(true), rx.SetMulticastLoopback(true))
		if ifi != nil {
			err = errors.Join(err, tx.SetMulticastInterface(ifi))
		}
	}
	read, told := reader(b.rx, group)
	b.in.init(read, group, told)
	b.out.init(writer(b.tx, group))
	return err
}

// Properties implements [canbus.Describer].
func (b *Bus) Properties() canbus.Properties {
	return canbus.Properties{FD: true, Bitrate: b.line.Bitrate, DataBitrate: b.line.DataBitrate}
}

// Malformed returns how many datagrams to the group were left out because they
// were no frames.
func (b *Bus) Malformed() uint64 { return b.malformed.Load() }

// Dropped implements [canbus.DropCounter]: it returns how many datagrams were lost
// because the reader was too slow and the socket's buffer full. Only Linux tells;
// elsewhere it is 0. It counts our own datagrams, and those that are no frames, too.
func (b *Bus) Dropped() uint64 { return b.drops.Dropped() }

// Close implements [canbus.Bus].
func (b *Bus) Close() error {
	b.closing.Do(b.drops.Close)
	b.life.Close()
	return nil
}

// ReadFrames implements [canbus.Bus]. It leaves out and counts datagrams that are no
// frames: see [Bus.Malformed].
func (b *Bus) ReadFrames(frames []canbus.Frame) (int, error) {
	if len(frames) == 0 {
		return 0, b.life.Err()
	}
	for {
		if err := b.life.Err(); err != nil {
			return 0, err
		}
		datagrams, err := b.in.receive(len(frames))
		now := time.Now().UnixNano()
		n, bytes := 0, 0
		for i := range datagrams {
			d := &datagrams[i]
			bytes += b.in.size(d)
			if b.in.source(d) == b.own || !b.in.forGroup(d) {
				continue
			}
			f, err := parseMessage(d.Buffers[0][:d.N])
			if err != nil {
				b.malformed.Add(1)
				continue
			}
			f.Stamp(now)
			frames[n] = f
			n++
		}
		b.drops.Read(len(datagrams), bytes)
		switch {
		case n > 0:
			return n, nil
		case err != nil && b.life.Err() != nil:
			return 0, net.ErrClosed
		case err != nil:
			return 0, fmt.Errorf("udpmulticast: receive: %w", err)
		}
	}
}

// WriteFrames implements [canbus.Bus]. It waits while the wire is busy. It takes the frames
// before one that it refuses: a frame that is not valid (see [canbus.Frame.Validate]), or
// one that the system does not send, because there is no network for example.
func (b *Bus) WriteFrames(frames []canbus.Frame) (int, error) {
	for {
		n, err := b.TryWriteFrames(frames)
		if n > 0 || err != nil || len(frames) == 0 {
			return n, err
		}
		if err := b.life.Sleep(b.line.Wait()); err != nil {
			return 0, err
		}
	}
}

// TryWriteFrames implements [canbus.TryWriter].
func (b *Bus) TryWriteFrames(frames []canbus.Frame) (int, error) {
	if err := b.life.Err(); err != nil {
		return 0, err
	}
	good, bad := canbus.CheckFrames(frames[:min(len(frames), batchLen)], nil)
	if good == 0 {
		return 0, bad
	}
	frames = frames[:good]
	n, err := b.out.send(frames[:b.line.Admit(frames)])
	n = max(n, 0) // it may be -1
	if err != nil && b.life.Err() != nil {
		return n, net.ErrClosed
	}
	if err != nil {
		return n, fmt.Errorf("udpmulticast: send: %w", err)
	}
	return n, nil
}

// plainAddr is an address in the form in which addresses compare.
func plainAddr(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
