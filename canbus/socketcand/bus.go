package socketcand

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/fifo"
	"example.com/isotp/canbus/internal/lifetime"
	"example.com/isotp/canbus/internal/line"
	"example.com/isotp/internal/netns"
)

func init() {
	canbus.Register("socketcand", func(ctx context.Context, address string) (canbus.Bus, error) {
		b, err := Open(ctx, address)
		if err != nil {
			return nil, err
		}
		return b, nil
	})
	canbus.RegisterIdentity("socketcand", func(address string) string {
		return "socketcand:" + address + " in " + netns.Current()
	})
}

var (
	_ canbus.Bus         = (*Bus)(nil)
	_ canbus.Describer   = (*Bus)(nil)
	_ canbus.DropCounter = (*Bus)(nil)
	_ canbus.Flusher     = (*Bus)(nil)
)

const (
	// batchLen is how many frames one write has at most.
	batchLen = 64
	// patience is how long it may take to reach a server, and how long the server may
	// take to open its bus.
	patience = 10 * time.Second
	// queueLen is how many frames received wait for ReadFrames: as many as a full
	// bus of 1 Mbit/s brings in a second or two.
	queueLen = 16 << 10
)

// A Bus is a server's bus.
type Bus struct {
	name  string
	conn  net.Conn
	line  line.Line
	life  *lifetime.Lifetime
	ended chan struct{} // closed when receive has ended

	// lex, buf and rest are used by Open, and then by receive only.
	lex  lexer
	buf  []byte
	rest []byte // the part of buf that is not cut into elements yet
	out  []byte // used by WriteFrames only

	proves   bool // the server answers < echo >
	readable chan struct{}

	// mu guards sent and received. changed is signalled when sent has changed, when nothing
	// more may be written, and at the end of the life.
	mu       sync.Mutex
	changed  sync.Cond
	sent     sent
	received fifo.Queue[canbus.Frame]

	dropped   atomic.Uint64
	malformed atomic.Uint64
	refused   atomic.Uint64
}

// Open connects to a server and opens one of its buses: "HOST:PORT/BUS", or
// "HOST:PORT/BUS@BITRATE". The server has 10 s to be reached and 10 s to open the bus;
// if ctx ends first, the error is ctx.Err() to errors.Is.
func Open(ctx context.Context, address string) (*Bus, error) {
	hostport, bus, bitrate, err := parseAddress(address)
	if err != nil {
		return nil, &canbus.NameError{Err: err}
	}
	d := net.Dialer{Timeout: patience}
	conn, err := d.DialContext(ctx, "tcp", hostport)
	if err != nil {
		return nil, fmt.Errorf("socketcand: %w", err)
	}
	return open(ctx, conn, hostport+"/"+bus, bus, bitrate)
}

// open does what Open does, on a connection. It closes the connection if it fails.
func open(ctx context.Context, conn net.Conn, name, bus string, bitrate int) (*Bus, error) {
	b := &Bus{
		name:     name,
		conn:     conn,
		line:     line.Line{Bitrate: bitrate, DataBitrate: bitrate},
		ended:    make(chan struct{}),
		buf:      make([]byte, 16<<10),
		readable: make(chan struct{}, 1),
	}
	b.changed.L = &b.mu
	b.life = lifetime.New(func() {
		conn.Close()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changed.Broadcast()
	})
	interrupt := context.AfterFunc(ctx, func() { b.life.Fail(ctx.Err()) })
	err := b.begin(bus)
	if err == nil && interrupt() {
		return b, nil
	}
	interrupt()
	b.life.Close()
	<-b.ended
	if ctx.Err() != nil {
		err = fmt.Errorf("socketcand: open %s: %w", name, ctx.Err())
	}
	return nil, err
}

// begin opens the server's bus, and finds out what the server can do.
func (b *Bus) begin(bus string) error {
	if err := b.greet(bus); err != nil {
		close(b.ended)
		return err
	}
	go b.receive()
	return b.probe()
}

func parseAddress(s string) (hostport, bus string, bitrate int, err error) {
	hostport, bus, found := strings.Cut(s, "/")
	if _, _, err := net.SplitHostPort(hostport); err != nil || !found {
		return "", "", 0, fmt.Errorf("socketcand: %q is not HOST:PORT/BUS, as raspberrypi:%d/can0", s, Port)
	}
	bus, rate, limited := strings.Cut(bus, "@")
	if limited {
		n, err := strconv.ParseUint(rate, 10, 31)
		if err != nil || n == 0 {
			return "", "", 0, fmt.Errorf("socketcand: bit rate %q in %q is not a number above 0", rate, s)
		}
		bitrate = int(n)
	}
	if bus == "" || strings.ContainsAny(bus, " <>\t\r\n") {
		return "", "", 0, fmt.Errorf("socketcand: %q in %q cannot be the name of a bus", bus, s)
	}
	return hostport, bus, bitrate, nil
}

// greet goes through the protocol's beginning, up to raw mode.
func (b *Bus) greet(bus string) error {
	b.conn.SetDeadline(time.Now().Add(patience))
	for _, step := range []struct{ say, want string }{
		{"", "hi"},
		{"< open " + bus + " >", "ok"},
		{"< rawmode >", "ok"},
	} {
		if step.say != "" {
			if _, err := io.WriteString(b.conn, step.say); err != nil {
				return fmt.Errorf("socketcand: %s: %w", b.name, err)
			}
		}
		words, err := b.element()
		if err != nil {
			return fmt.Errorf("socketcand: %s: no answer to %q: %w", b.name, step.say, err)
		}
		if len(words) != 1 || words[0] != step.want {
			return fmt.Errorf("socketcand: %s answers %q to %q (want %q)", b.name, strings.Join(words, " "), step.say, step.want)
		}
	}
	return b.conn.SetDeadline(time.Time{})
}

// element returns the words of the next element.
func (b *Bus) element() ([]string, error) {
	for {
		words, rest, done := b.lex.next(b.rest)
		b.rest = rest
		if done {
			return words, nil
		}
		n, err := b.conn.Read(b.buf)
		if n == 0 && err != nil {
			return nil, err
		}
		b.rest = b.buf[:n]
	}
}

// Properties implements [canbus.Describer].
func (b *Bus) Properties() canbus.Properties {
	p := canbus.Properties{FD: true, Bitrate: b.line.Bitrate, DataBitrate: b.line.DataBitrate}
	if b.proves {
		p.Echo, p.EchoAtHandover, p.EchoesLag, p.QueueLen = true, true, true, window
	}
	return p
}

// Malformed returns how many elements were left out because they were no frames.
func (b *Bus) Malformed() uint64 { return b.malformed.Load() }

// Refused returns how many commands, frames to be sent most likely, the server did
// not know or could not execute.
func (b *Bus) Refused() uint64 { return b.refused.Load() }

// Dropped implements [canbus.DropCounter]. It counts frames that came while 16,384 others
// waited for ReadFrames, and those that a [Server] says it has dropped because the
// connection was too slow. Other servers do not say what they or their interfaces drop.
func (b *Bus) Dropped() uint64 { return b.dropped.Load() }

// ReadFrames implements [canbus.Bus]. It leaves out and counts what is no frame: see
// [Bus.Malformed] and [Bus.Refused].
func (b *Bus) ReadFrames(frames []canbus.Frame) (int, error) {
	for {
		err := b.life.Err() // before take: frames that came before the end are read first
		if err == net.ErrClosed || len(frames) == 0 {
			return 0, err
		}
		b.mu.Lock()
		n := b.received.Take(frames)
		b.mu.Unlock()
		switch {
		case n > 0:
			return n, nil
		case err != nil:
			return 0, err
		}
		select {
		case <-b.readable:
		case <-b.life.Over():
		}
	}
}

// WriteFrames implements [canbus.Bus]. It waits while the server takes nothing, and
// while 128 frames are not proven. It takes the frames before one that it refuses. It
// refuses a frame that is not valid (see [canbus.Frame.Validate]), a remote frame, and a
// CAN FD frame if the server cannot send it.
func (b *Bus) WriteFrames(frames []canbus.Frame) (int, error) {
	if err := b.life.WriteErr(); err != nil {
		return 0, err
	}
	good, bad := canbus.CheckFrames(frames[:min(len(frames), batchLen)], refuse)
	if good == 0 {
		return 0, bad
	}
	if b.proves {
		room, err := b.room(frames[:good])
		if err != nil {
			return 0, err
		}
		good = min(good, room)
	}
	n, err := b.line.AdmitSome(frames[:good], b.life.Sleep)
	if err != nil {
		return 0, err
	}
	return b.write(frames[:n])
}

// write writes a batch.
func (b *Bus) write(frames []canbus.Frame) (n int, err error) {
	b.out = b.out[:0]
	trial := false
	if b.proves {
		trial, err = b.expect(frames)
	} else {
		for i := range frames {
			b.out = appendSend(b.out, &frames[i])
		}
	}
	if err == nil {
		_, err = b.conn.Write(b.out)
		if err != nil {
			b.writeFailed(err)
			err = b.life.Err()
		}
	}
	if err == nil && trial {
		err = b.tried(&frames[0])
	}
	if err != nil {
		return 0, err
	}
	return len(frames), nil
}

// refuse refuses frames that the protocol has no form for.
func refuse(f *canbus.Frame) error {
	if f.Has(canbus.Remote) {
		return fmt.Errorf("socketcand: frame %X is a remote frame, which the protocol has not", f.ID)
	}
	return nil
}

// receive is the goroutine that reads the connection. It does not wait for ReadFrames:
// the server's interface would drop frames without telling us.
func (b *Bus) receive() {
	defer close(b.ended)
	for {
		b.take()
		n, err := b.conn.Read(b.buf)
		b.rest = b.buf[:n]
		if n == 0 && err != nil {
			b.fail(err)
			return
		}
	}
}

// take cuts the bytes that were read into elements, and handles these.
func (b *Bus) take() {
	skipped := b.lex.skipped
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		words, rest, done := b.lex.next(b.rest)
		b.rest = rest
		if !done {
			break
		}
		b.handle(words)
	}
	b.malformed.Add(b.lex.skipped - skipped)
	if b.received.Len() > 0 {
		select {
		case b.readable <- struct{}{}:
		default:
		}
	}
}

// handle handles an element. Under mu.
func (b *Bus) handle(words []string) {
	f, err := parseElement(words)
	switch {
	case err == nil:
		b.queue(f, queueLen)
	case errors.Is(err, errDropped):
		b.dropped.Add(parseDropped(words))
	case errors.Is(err, errRefused):
		b.refused.Add(1)
		b.denied(words)
	case !errors.Is(err, errNoFrame):
		b.malformed.Add(1)
	case words[0] == "echo":
		b.answered()
	}
}

// queue adds a frame for ReadFrames, if there is room. Under mu.
func (b *Bus) queue(f canbus.Frame, limit int) {
	if b.received.Len() >= limit {
		b.dropped.Add(1)
		return
	}
	b.received.Push(f)
}

var (
	errNoFrame = errors.New("not a frame")
	errRefused = errors.New("refused")
	errDropped = errors.New("dropped")
)

func parseElement(words []string) (canbus.Frame, error) {
	if len(words) == 0 {
		return canbus.Frame{}, errors.New("an empty element")
	}
	switch words[0] {
	case "frame", "fdframe":
		return parseFrame(words)
	case "error":
		// This is an error frame, or in words the error of a command.
		if f, err := parseFrame(words); err == nil {
			return f, nil
		}
		if parseDropped(words) > 0 {
			return canbus.Frame{}, errDropped
		}
		return canbus.Frame{}, errRefused
	case "hi", "ok", "echo", "stat", "rtr":
		return canbus.Frame{}, errNoFrame
	}
	return canbus.Frame{}, fmt.Errorf("unknown element %q", words[0])
}

// fail makes the loss of the connection the error of every call.
func (b *Bus) fail(err error) {
	b.mu.Lock()
	unproven := b.sent.frames.Len()
	b.mu.Unlock()
	if unproven == 0 && b.life.WriteErr() != nil {
		b.life.Close()
		return
	}
	gone := &canbus.GoneError{
		Bus:     "socketcand: the connection to " + b.name,
		Err:     lifetime.Cause(err),
		InDoubt: unproven,
	}
	timeout, ok := errors.AsType[net.Error](err)
	if ended := !ok || !timeout.Timeout(); ended && unproven > 0 && b.line.Bitrate == 0 {
		gone.Advice = fmt.Sprintf("if the server is Linux's socketcand, the queue of its interface may have been full: say the bus's bit rate, as in %s@500000", b.name)
	}
	b.life.Fail(gone)
}

// writeFailed is fail for an error of writing. It lets receive read first what the server
// has said before it ended the connection: that may prove frames.
func (b *Bus) writeFailed(err error) {
	timer := time.NewTimer(proofTime)
	defer timer.Stop()
	select {
	case <-b.ended:
	case <-timer.C:
	}
	b.fail(err)
}

// Flush implements [canbus.Flusher]. It waits until the server has said of every frame
// that it has sent it, or refused it. It returns an error if the server says nothing for
// one second.
func (b *Bus) Flush(ctx context.Context) error {
	if !b.proves {
		return b.life.Err()
	}
	return b.settle(ctx)
}

// Close implements [canbus.Bus]. It first waits as Flush does. It returns an error if it
// does not know whether all frames were sent.
func (b *Bus) Close() error { return b.life.CloseAfter(b.finish) }

// finish is the last that is done before the Bus is over.
func (b *Bus) finish() error {
	b.mu.Lock()
	b.changed.Broadcast()
	b.mu.Unlock()
	switch {
	case b.life.Err() != nil: // every call has returned this error already
	case b.proves:
		return b.settle(context.Background())
	default:
		b.hangUp()
	}
	return nil
}
