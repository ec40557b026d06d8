package cannelloni

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/lifetime"
	"example.com/isotp/canbus/internal/line"
)

var (
	_ canbus.Bus       = (*TCP)(nil)
	_ canbus.Describer = (*TCP)(nil)
	_ canbus.Flusher   = (*TCP)(nil)
)

const (
	// readLen is how many bytes are read at once at most.
	readLen = 16 << 10
	// sendBuffer is what the system is asked for: some 0.6 s of a full bus of 1 Mbit/s.
	// Linux doubles it.
	sendBuffer = 64 << 10
	// flushTime is for how long the peer's computer may acknowledge nothing, and lingerTime
	// how long it may take to end the connection when we have ended our direction.
	flushTime, lingerTime = 2 * time.Second, time.Second
	// flushPause is how often Flush looks: the system does not wake it.
	flushPause = time.Millisecond
)

// TCP is a bus at the other end of a TCP connection.
type TCP struct {
	conn *net.TCPConn
	name string
	line line.Line
	life *lifetime.Lifetime

	stall, linger time.Duration // flushTime and lingerTime, but for tests

	reading sync.Mutex // held while conn is read

	// Of ReadFrames alone.
	buf        []byte
	start, end int // of what is not parsed yet

	out []byte // of WriteFrames alone

	mu     sync.Mutex // guards given and broken
	given  account
	broken error // why a write has failed; ReadFrames returns first what has come before that

	malformed leftOut
}

// newTCP returns a bus on a connection whose beginning is over.
func newTCP(conn *net.TCPConn, a *address) *TCP {
	b := &TCP{
		conn:   conn,
		name:   transportTCP + ":" + conn.RemoteAddr().String(),
		line:   a.newLine(0, 0),
		stall:  flushTime,
		linger: lingerTime,
		buf:    make([]byte, readLen),
	}
	b.life = lifetime.New(b.release)
	conn.SetWriteBuffer(sendBuffer)
	giveUp(conn, silence)
	return b
}

// Properties implements [canbus.Describer].
func (b *TCP) Properties() canbus.Properties {
	return canbus.Properties{FD: true, Bitrate: b.line.Bitrate, DataBitrate: b.line.DataBitrate}
}

// Malformed returns how many frames were left out because CAN has none like them.
func (b *TCP) Malformed() uint64 { return b.malformed.count.Load() }

// ReadFrames implements [canbus.Bus].
func (b *TCP) ReadFrames(frames []canbus.Frame) (int, error) {
	for {
		err := b.life.Err() // frames that came before the loss of the connection are read first
		if err == net.ErrClosed || len(frames) == 0 {
			return 0, err
		}
		n, bad := b.unpack(frames)
		switch {
		case n > 0:
			return n, nil
		case err != nil:
			return 0, err
		case bad == nil:
			bad = b.receive()
		}
		if bad != nil {
			b.fail(bad)
		}
	}
}

// unpack reads the frames that have come. It returns an error if the end of the next one cannot
// be known.
func (b *TCP) unpack(frames []canbus.Frame) (n int, err error) {
	now := time.Now().UnixNano()
	for n < len(frames) {
		size, err := parseFrame(b.buf[b.start:b.end], &frames[n])
		switch {
		case size == 0 && err != nil:
			return n, fmt.Errorf("it has sent %w: it does not speak the protocol", err)
		case size == 0:
			return n, nil
		case err != nil:
			b.malformed.add("a frame is left out", "bus", b.name, "error", err)
		default:
			frames[n].Stamp(now)
			n++
		}
		b.start += size
	}
	return n, nil
}

// receive waits for bytes. A part of a frame that has come stays before them.
func (b *TCP) receive() error {
	b.end = copy(b.buf, b.buf[b.start:b.end])
	b.start = 0
	b.reading.Lock()
	defer b.reading.Unlock()
	if err := b.life.Err(); err != nil {
		return err
	}
	n, err := b.conn.Read(b.buf[b.end:])
	b.end += n
	if n > 0 {
		return nil
	}
	return err
}

// WriteFrames implements [canbus.Bus]. It waits while the peer takes nothing, and while the wire
// is busy. It takes the frames before one that is not valid (see [canbus.Frame.Validate]).
func (b *TCP) WriteFrames(frames []canbus.Frame) (int, error) {
	if err := b.err(); err != nil {
		return 0, err
	}
	good, bad := canbus.CheckFrames(frames[:min(len(frames), batchLen)], nil)
	if good == 0 {
		return 0, bad
	}
	n, err := b.line.AdmitSome(frames[:good], b.life.Sleep)
	if err != nil {
		return 0, err
	}
	b.out = b.out[:0]
	for i := range frames[:n] {
		b.out = appendFrame(b.out, &frames[i])
	}
	b.mu.Lock()
	b.given.add(frames[:n])
	b.mu.Unlock()
	taken, err := b.conn.Write(b.out)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.given.taken += uint64(taken)
	if err == nil {
		return n, nil
	}
	if err := b.life.Err(); err != nil {
		return 0, err
	}
	b.broken = b.gone(err)
	b.conn.SetReadDeadline(time.Now().Add(b.linger)) // the system ends it sooner
	return 0, b.broken
}

// err returns why nothing can be written any more.
func (b *TCP) err() error {
	if err := b.life.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broken
}

// fail makes the loss of the connection the error of every call. It does nothing once the bus is
// closed.
func (b *TCP) fail(err error) {
	if b.life.Err() != nil {
		return
	}
	b.mu.Lock()
	why := b.broken
	if why == nil {
		why = b.gone(err)
	}
	b.mu.Unlock()
	b.life.Fail(why)
}

// gone is the error of every call when the connection is lost. Under mu.
func (b *TCP) gone(err error) error {
	bytes, _ := unacknowledged(b.conn)
	return &canbus.GoneError{
		Bus: "cannelloni: the connection to " + b.name, Err: lifetime.Cause(err), InDoubt: b.given.last(bytes),
	}
}

// inDoubt returns how many frames the peer's computer has not acknowledged. known is false where
// the system does not tell: it counts those then that the system itself has not taken.
func (b *TCP) inDoubt() (frames int, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bytes, known := unacknowledged(b.conn)
	return b.given.last(bytes), known
}

// Flush implements [canbus.Flusher]. On Linux it waits until the peer's computer has
// acknowledged all frames, and returns an error if it acknowledges nothing for 2 s. Elsewhere
// it does not wait: Close does.
func (b *TCP) Flush(ctx context.Context) error {
	before, moved := 0, time.Now()
	for {
		if err := b.err(); err != nil {
			return err
		}
		frames, known := b.inDoubt()
		switch {
		case frames == 0 || !known:
			return nil
		case frames != before:
			before, moved = frames, time.Now()
		case time.Since(moved) > b.stall:
			return fmt.Errorf("cannelloni: %s has acknowledged nothing for %v: the last %d frames may not have been sent",
				b.name, b.stall, frames)
		}
		if err := b.life.Linger(ctx, flushPause); err != nil {
			return err
		}
	}
}

// Close implements [canbus.Bus]. It ends our direction of the connection, and waits, for 1 s at
// most, until the peer has read everything and ends the other one. Otherwise the system would
// throw away what the peer has not read yet, if frames came meanwhile.
func (b *TCP) Close() error {
	b.life.Close()
	return nil
}

// release closes the connection.
func (b *TCP) release() {
	defer b.conn.Close()
	if b.life.Err() != net.ErrClosed {
		return
	}
	b.conn.SetDeadline(time.Now()) // ends the calls under way
	if b.conn.CloseWrite() != nil {
		return
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	b.conn.SetReadDeadline(time.Now().Add(b.linger))
	discard := make([]byte, readLen)
	for {
		if _, err := b.conn.Read(discard); err != nil {
			return
		}
	}
}

// accountLen is more frames than the system has room for.
const accountLen = 1 << 15

// An account knows how long the last frames were that were written.
type account struct {
	lengths [accountLen]uint8
	frames  uint64 // how many there were
	bytes   uint64 // how long they were
	taken   uint64 // how many bytes of these the system has taken
}

func (a *account) add(frames []canbus.Frame) {
	for i := range frames {
		n := frameLen(&frames[i])
		a.lengths[a.frames%accountLen] = uint8(n)
		a.frames++
		a.bytes += uint64(n)
	}
}

// last returns how many frames are not complete without the last bytes that the system has
// taken, and those that it has not.
func (a *account) last(bytes int) (n int) {
	for left := int(a.bytes-a.taken) + bytes; left > 0 && n < accountLen && uint64(n) < a.frames; n++ {
		left -= int(a.lengths[(a.frames-1-uint64(n))%accountLen])
	}
	return n
}
