package einride

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/errno"
	"example.com/isotp/canbus/internal/lifetime"
)

var (
	_ canbus.Bus       = (*Bus)(nil)
	_ canbus.Describer = (*Bus)(nil)
)

const (
	// batchLen is how many frames one write has at most.
	batchLen = 64
	// bufferLen is how much of a stream is read at a time, maxPacket the longest
	// datagram.
	bufferLen = 4096
	maxPacket = 1 << 16
	// fullPause is how long to wait for room in a full queue, about the time of five
	// frames.
	fullPause = time.Millisecond
)

// A Bus is the bus at the other end of a connection.
type Bus struct {
	name    string
	conn    net.Conn
	life    *lifetime.Lifetime
	packets bool // what one Read returns was one Write
	stream  bool // there is no telling what was one Write

	buf  []byte
	rest []byte // of buf, what was not yet cut into frames
	out  []byte

	own       *own // nil where own frames do not come back
	malformed atomic.Uint64
}

// NewBus makes a Bus of a connection that carries frames of 16 bytes, as those of
// their Dial do, and streams such as TCP's. The connection belongs to the Bus, which
// clears its deadlines and closes it. Frames that are lost because the reader is too slow
// are not counted: a socket of theirs holds less than 300 frames. Where no wire slows a
// sender down, as on a vcan, ask for short blocks (isotpnet.Config.BlockSize, 50).
//
// A connection to a multicast group, their "udp", returns the frames that are written to
// it, and the Bus returns these as echoes. It knows them by a mark in the three bytes that
// mean nothing, which other programs do not look at. At most 64 frames are in flight at a
// time, because a group has no wire that would hold a sender up, and their sockets have
// little room. Other connections have no echoes.
func NewBus(conn net.Conn) *Bus {
	b := &Bus{
		name: "a net.Conn",
		conn: conn,
		life: lifetime.New(func() { conn.Close() }),
	}
	// Addresses may be nil: the local one of theirs is.
	if to := conn.RemoteAddr(); to != nil {
		network := to.Network()
		b.name = network + " " + to.String()
		b.packets = network == "can" || network == "unixgram" || network == "unixpacket" ||
			strings.HasPrefix(network, "udp") || strings.HasPrefix(network, "ip")
		b.stream = network == "unix" || network == "pipe" || strings.HasPrefix(network, "tcp")
		if u, ok := to.(*net.UDPAddr); ok && u.IP.IsMulticast() {
			b.own = newOwn()
		}
	}
	b.buf = make([]byte, bufferLen)
	if b.packets {
		b.buf = make([]byte, maxPacket)
	}
	conn.SetDeadline(time.Time{})
	return b
}

// Properties implements [canbus.Describer].
func (b *Bus) Properties() canbus.Properties {
	if b.own == nil {
		return canbus.Properties{}
	}
	return canbus.Properties{Echo: true, QueueLen: ownMost}
}

// Malformed returns how many frames were left out because they had more than 8 bytes of
// data, and how many datagrams because they were not whole frames.
func (b *Bus) Malformed() uint64 { return b.malformed.Load() }

// ReadFrames implements [canbus.Bus]. It leaves out and counts what is no frame: see
// [Bus.Malformed]. Timestamps are of when a frame was read.
func (b *Bus) ReadFrames(frames []canbus.Frame) (int, error) {
	if len(frames) == 0 {
		return 0, b.life.Err()
	}
	for {
		if err := b.life.Err(); err != nil {
			return 0, err
		}
		if n := b.take(frames); n > 0 {
			return n, nil
		}
		n, err := b.conn.Read(b.buf[copy(b.buf, b.rest):])
		b.rest = b.buf[:len(b.rest)+n]
		if b.packets && err == nil && (n == 0 || n%frameLen != 0) {
			b.malformed.Add(1)
			b.rest = b.rest[:n-n%frameLen]
		}
		switch {
		case n > 0 || err == nil:
		case b.packets && passes(err):
			return 0, canbus.Temporary(fmt.Errorf("einride: read from %s: %w", b.name, err))
		default:
			b.fail(err)
		}
	}
}

// take cuts bytes into as many frames as fit, and returns how many.
func (b *Bus) take(frames []canbus.Frame) (n int) {
	now := time.Now().UnixNano()
	for n < len(frames) && len(b.rest) >= frameLen {
		raw := b.rest[:frameLen]
		b.rest = b.rest[frameLen:]
		f, err := parseFrame(raw)
		if err != nil {
			b.malformed.Add(1)
			continue
		}
		if b.own != nil && b.own.is(raw) {
			b.own.returned(f)
			f.Flags |= canbus.Echo
		}
		f.Stamp(now)
		frames[n] = f
		n++
	}
	return n
}

// WriteFrames implements [canbus.Bus]. It waits while the connection takes nothing. If the
// queue of the connection's interface is full, and still is 1 ms later, it returns a
// temporary error. It takes the frames before one that it refuses: a frame that is not
// valid (see [canbus.Frame.Validate]), or a CAN FD frame.
func (b *Bus) WriteFrames(frames []canbus.Frame) (int, error) {
	if err := b.life.Err(); err != nil {
		return 0, err
	}
	good, bad := canbus.CheckFrames(frames[:min(len(frames), batchLen)], refuse)
	if good == 0 {
		return 0, bad
	}
	frames = frames[:good]
	if b.stream {
		return b.write(frames)
	}
	for i := range frames {
		if err := b.writeOne(frames[i : i+1]); err != nil {
			if i > 0 {
				return i, nil // the next call has the error, if it lasts
			}
			return 0, err
		}
	}
	return good, nil
}

// refuse refuses frames that the 16 bytes have no room for.
func refuse(f *canbus.Frame) error {
	if f.Has(canbus.FD) {
		return fmt.Errorf("einride: CAN FD frame %X: connections of go.einride.tech/can carry classic CAN only, frames of 16 bytes (leave FD out, or open the bus with a driver of canbus)", f.ID)
	}
	return nil
}

// writeOne writes one frame by itself, once there is room for it.
func (b *Bus) writeOne(frame []canbus.Frame) error {
	if b.own == nil {
		return b.writeToQueue(frame)
	}
	for {
		ok, wait := b.own.add(&frame[0])
		if ok {
			break
		}
		if err := b.await(b.own.news, wait); err != nil {
			return err
		}
	}
	err := b.writeToQueue(frame)
	if err != nil {
		b.own.takeBack()
	}
	return err
}

// await waits for news, or until that time is over.
func (b *Bus) await(news <-chan struct{}, most time.Duration) error {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-news:
	case <-t.C:
	case <-b.life.Over():
	}
	return b.life.Err()
}

// writeToQueue writes one frame, and a second time if the interface's queue is full.
func (b *Bus) writeToQueue(frame []canbus.Frame) error {
	_, err := b.write(frame)
	if !errno.Is(err, syscall.ENOBUFS) {
		return err
	}
	if err := b.life.Sleep(fullPause); err != nil {
		return err
	}
	if _, err = b.write(frame); errno.Is(err, syscall.ENOBUFS) {
		return canbus.Temporary(err)
	}
	return err
}

// write is one Write of the connection.
func (b *Bus) write(frames []canbus.Frame) (int, error) {
	b.out = b.out[:0]
	for i := range frames {
		b.out = appendFrame(b.out, &frames[i])
	}
	if b.own != nil { // then there is one frame
		copy(b.out[offsetMark:offsetData], b.own.mark[:])
	}
	n, err := b.conn.Write(b.out)
	if err == nil {
		return len(frames), nil
	}
	// A connection that carries packets may refuse one and take the next.
	if !b.packets || gone(err) {
		b.fail(err)
	}
	if err := b.life.Err(); err != nil {
		return n / frameLen, err
	}
	return 0, fmt.Errorf("einride: write to %s: %w", b.name, err)
}

// fail makes the loss of the connection the error of every call.
func (b *Bus) fail(err error) {
	b.life.Fail(&canbus.GoneError{Bus: "einride: the connection to " + b.name, Err: lifetime.Cause(err)})
}

// Close implements [canbus.Bus].
func (b *Bus) Close() error {
	b.life.Close()
	return nil
}

// gone reports whether an error of a write says that all later ones will fail.
func gone(err error) bool {
	for _, end := range []error{net.ErrClosed, os.ErrClosed, io.ErrClosedPipe, io.EOF} {
		if errors.Is(err, end) {
			return true
		}
	}
	// The last three are those of an interface that was deleted.
	return errno.Is(err, syscall.EPIPE, syscall.ENODEV, syscall.ENXIO, syscall.EADDRNOTAVAIL)
}

// passes reports whether an error of reading packets is not the end.
func passes(err error) bool {
	return errno.Is(err, syscall.ENETDOWN, syscall.ENOBUFS, syscall.ECONNREFUSED)
}
