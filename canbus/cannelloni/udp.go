package cannelloni

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/errno"
	"example.com/isotp/canbus/internal/lifetime"
	"example.com/isotp/canbus/internal/line"
	"example.com/isotp/internal/sockdrops"
)

var (
	_ canbus.Bus         = (*UDP)(nil)
	_ canbus.Describer   = (*UDP)(nil)
	_ canbus.TryWriter   = (*UDP)(nil)
	_ canbus.DropCounter = (*UDP)(nil)
)

// A datagram begins with its version, what it is for, its number, and in two bytes how many
// frames follow.
const (
	version   = 2
	opData    = 0
	headerLen = 1 + 1 + 1 + 2
)

const (
	// batchLen is how many frames are written at once at most.
	batchLen = 128
	// maxDatagram is more than the length of the longest datagram.
	maxDatagram = 1 << 16
	// receiveBuffer is what the system is asked for. Linux grants less without privileges.
	receiveBuffer = 4 << 20
	// The bit rates of the wire that UDP pretends to have, so that no receiver's buffer
	// overflows. They are more than a bus needs.
	udpBitrate     = 3_000_000
	udpDataBitrate = 8_000_000
)

// UDP is a bus at the other end of a tunnel of UDP datagrams.
type UDP struct {
	conn       *net.UDPConn
	name       string
	peer       netip.AddrPort
	anySource  bool
	maxPayload int
	line       line.Line
	life       *lifetime.Lifetime
	closing    sync.Once

	// Of ReadFrames alone: the buffer, what of a datagram is not read yet, and how many
	// frames that is.
	buf      []byte
	rest     []byte
	left     int
	came     time.Time // when the datagram came
	numbers  sequence
	explains uint64 // how many of the socket's drops the numbers have shown

	// Of WriteFrames alone.
	out    []byte
	number byte

	drops   sockdrops.Counter
	missing atomic.Uint64 // by the numbers, less those that drops has, too

	malformed, strangers, late leftOut
}

func openUDP(ctx context.Context, a *address) (*UDP, error) {
	peer, err := a.resolve(ctx)
	if err != nil {
		return nil, err
	}
	if a.isItself(peer) {
		return nil, fmt.Errorf("%v is this end itself (the peer's port is another one, or ours is, as ,local=:PORT)", peer)
	}
	network, headers := "udp4", headersIPv4
	if peer.Addr().Is6() {
		network, headers = "udp6", headersIPv6
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(a.local))
	if errno.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w (another port is ,local=:PORT; the peer sends to it with -r PORT)", err)
	}
	if err != nil {
		return nil, err
	}
	sockdrops.Grow(conn, receiveBuffer)
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, err
	}
	b := &UDP{
		conn:       conn,
		name:       a.String(),
		peer:       peer,
		anySource:  a.anySource,
		maxPayload: a.mtu - headers,
		line:       a.newLine(udpBitrate, udpDataBitrate),
		life:       lifetime.New(func() { conn.Close() }),
		buf:        make([]byte, maxDatagram),
	}
	b.drops.Init(raw)
	return b, nil
}

// Properties implements [canbus.Describer].
func (b *UDP) Properties() canbus.Properties {
	return canbus.Properties{FD: true, Bitrate: b.line.Bitrate, DataBitrate: b.line.DataBitrate}
}

// Dropped implements [canbus.DropCounter]. It counts datagrams that are missing, with one frame
// at least each; see the package's documentation.
func (b *UDP) Dropped() uint64 { return b.missing.Load() + b.drops.Dropped() }

// Malformed returns how many datagrams, or frames of datagrams, were left out because they are
// not in the protocol's format, or no frames of CAN.
func (b *UDP) Malformed() uint64 { return b.malformed.count.Load() }

// Strangers returns how many datagrams were left out because they came from another host than
// the peer.
func (b *UDP) Strangers() uint64 { return b.strangers.count.Load() }

// Late returns how many datagrams were left out because they came after others that were sent
// later, or twice. They had been counted as missing, or were read already.
func (b *UDP) Late() uint64 { return b.late.count.Load() }

// Close implements [canbus.Bus].
func (b *UDP) Close() error {
	b.closing.Do(b.drops.Close)
	b.life.Close()
	return nil
}

// ReadFrames implements [canbus.Bus].
func (b *UDP) ReadFrames(frames []canbus.Frame) (int, error) {
	for {
		if err := b.life.Err(); err != nil || len(frames) == 0 {
			return 0, err
		}
		if n := b.unpack(frames); n > 0 {
			return n, nil
		}
		if err := b.receive(); err != nil {
			return 0, err
		}
	}
}

// receive waits for a datagram.
func (b *UDP) receive() error {
	n, from, err := b.conn.ReadFromUDPAddrPort(b.buf)
	if b.life.Err() != nil {
		return net.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("cannelloni: %s: receive: %w", b.name, err)
	}
	b.drops.Read(1, n)
	if !b.anySource && plain(from) != plain(b.peer) {
		b.strangers.add("a datagram from another host is left out (the option any takes those, too)", "bus", b.name, "from", from)
		return nil
	}
	b.open(b.buf[:n])
	return nil
}

// plain is a host in the form in which hosts compare.
func plain(a netip.AddrPort) netip.Addr { return a.Addr().Unmap().WithZone("") }

// open opens a datagram, whose frames unpack reads then.
func (b *UDP) open(datagram []byte) {
	if len(datagram) < headerLen || datagram[0] != version || datagram[1] != opData {
		b.malformed.add("a datagram is left out that is not in version 2 of the format", "bus", b.name,
			"begins", fmt.Sprintf("%X", datagram[:min(len(datagram), headerLen)]))
		return
	}
	before := b.came
	b.came = time.Now()
	missing, late := b.numbers.take(datagram[2], b.came.Sub(before))
	if late {
		b.late.add("a datagram is left out that comes too late, or twice", "bus", b.name)
		return
	}
	b.miss(uint64(missing))
	b.rest, b.left = datagram[headerLen:], int(binary.BigEndian.Uint16(datagram[3:]))
	if b.left == 0 {
		b.end()
	}
}

// miss counts datagrams that are missing by their numbers. Those among them that this computer
// had no room for are counted already.
func (b *UDP) miss(n uint64) {
	if n == 0 {
		return
	}
	known := min(n, b.drops.Now()-b.explains)
	b.explains += known
	b.missing.Add(n - known)
}

// unpack reads frames of the datagram.
func (b *UDP) unpack(frames []canbus.Frame) (n int) {
	for n < len(frames) && b.left > 0 {
		f := &frames[n]
		size, err := parseFrame(b.rest, f)
		if size == 0 {
			b.malformed.add("the rest of a datagram is left out", "bus", b.name, "frames", b.left, "error", cmp.Or(err, io.ErrUnexpectedEOF))
			b.left = 0
			return n
		}
		b.rest = b.rest[size:]
		b.left--
		if err != nil {
			b.malformed.add("a frame is left out", "bus", b.name, "error", err)
		} else {
			f.Stamp(b.came.UnixNano())
			n++
		}
		if b.left == 0 {
			b.end()
		}
	}
	return n
}

// end is called when all frames of a datagram are read.
func (b *UDP) end() {
	if len(b.rest) > 0 {
		b.malformed.add("a datagram has more bytes than its frames", "bus", b.name, "bytes", len(b.rest))
	}
}

// WriteFrames implements [canbus.Bus]. It waits while the wire is busy. It takes the frames
// before one that it refuses: a frame that is not valid (see [canbus.Frame.Validate]), or one
// that the system does not send, because there is no network for example.
func (b *UDP) WriteFrames(frames []canbus.Frame) (int, error) {
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
func (b *UDP) TryWriteFrames(frames []canbus.Frame) (int, error) {
	if err := b.life.Err(); err != nil {
		return 0, err
	}
	good, bad := canbus.CheckFrames(frames[:min(len(frames), batchLen)], nil)
	if good == 0 {
		return 0, bad
	}
	frames = frames[:b.line.Admit(frames[:good])]
	for sent := 0; sent < len(frames); {
		n := b.pack(frames[sent:])
		if _, err := b.conn.WriteToUDPAddrPort(b.out, b.peer); err != nil {
			return sent, b.sendError(err)
		}
		b.number++
		sent += n
	}
	return len(frames), nil
}

func (b *UDP) sendError(err error) error {
	if b.life.Err() != nil {
		return net.ErrClosed
	}
	return fmt.Errorf("cannelloni: %s: send: %w", b.name, err)
}

// pack makes a datagram of as many of the frames as it has room for, and returns how many.
func (b *UDP) pack(frames []canbus.Frame) (n int) {
	b.out = append(b.out[:0], version, opData, b.number, 0, 0)
	for n < len(frames) && (n == 0 || len(b.out)+frameLen(&frames[n]) <= b.maxPayload) {
		b.out = appendFrame(b.out, &frames[n])
		n++
	}
	binary.BigEndian.PutUint16(b.out[3:], uint16(n))
	return n
}
