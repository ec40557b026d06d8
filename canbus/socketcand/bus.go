package socketcand

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/lifetime"
	"example.com/isotp/canbus/internal/line"
)

func init() {
	canbus.Register("socketcand", func(address string) (canbus.Bus, error) {
		b, err := Open(address)
		if err != nil {
			return nil, err
		}
		return b, nil
	})
}

var (
	_ canbus.Bus       = (*Bus)(nil)
	_ canbus.Describer = (*Bus)(nil)
)

const (
	// batchLen is how many frames one write has at most.
	batchLen = 64
	// patience is how long a server may take to be reached and to open its bus.
	patience = 10 * time.Second
)

// A Bus is a server's bus.
type Bus struct {
	name string
	conn net.Conn
	line line.Line
	life *lifetime.Lifetime

	lex  lexer
	buf  []byte
	rest []byte // of buf, what was not yet cut into elements
	out  []byte

	malformed atomic.Uint64
	refused   atomic.Uint64
}

// A LostError is that of every call once the connection to the server is lost. To
// errors.Is it is net.ErrClosed, and its cause.
type LostError struct {
	Bus string // HOST:PORT/BUS
	Err error  // io.ErrUnexpectedEOF if the server has ended it
}

func (e *LostError) Error() string {
	return fmt.Sprintf("socketcand: the connection to %s is lost: %v", e.Bus, e.Err)
}

func (e *LostError) Unwrap() []error { return []error{net.ErrClosed, e.Err} }

// Open connects to a server and opens one of its buses: "HOST:PORT/BUS", or
// "HOST:PORT/BUS@BITRATE".
func Open(address string) (*Bus, error) {
	hostport, bus, bitrate, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", hostport, patience)
	if err != nil {
		return nil, fmt.Errorf("socketcand: %w", err)
	}
	b := &Bus{
		name: hostport + "/" + bus,
		conn: conn,
		line: line.Line{Bitrate: bitrate, DataBitrate: bitrate},
		life: lifetime.New(func() { conn.Close() }),
		buf:  make([]byte, 16<<10),
	}
	if err := b.greet(bus); err != nil {
		conn.Close()
		return nil, err
	}
	return b, nil
}

func parseAddress(s string) (hostport, bus string, bitrate int, err error) {
	hostport, bus, found := strings.Cut(s, "/")
	if _, _, err := net.SplitHostPort(hostport); err != nil || !found {
		return "", "", 0, fmt.Errorf("socketcand: %q is not HOST:PORT/BUS, as raspberrypi:28600/can0", s)
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
		if _, err := b.conn.Write([]byte(step.say)); err != nil {
			return fmt.Errorf("socketcand: %s: %w", b.name, err)
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
	return canbus.Properties{FD: true, Bitrate: b.line.Bitrate, DataBitrate: b.line.DataBitrate}
}

// Malformed returns how many elements were left out because they were no frames.
func (b *Bus) Malformed() uint64 { return b.malformed.Load() }

// Refused returns how many commands, frames to be sent most likely, the server did
// not know or could not execute.
func (b *Bus) Refused() uint64 { return b.refused.Load() }

// ReadFrames implements [canbus.Bus]. What is no frame is left out and counted, see
// [Bus.Malformed] and [Bus.Refused].
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
		n, err := b.conn.Read(b.buf)
		b.rest = b.buf[:n]
		if n == 0 && err != nil {
			b.fail(err)
		}
	}
}

// take cuts what is there into frames, as many as there is room for.
func (b *Bus) take(frames []canbus.Frame) (n int) {
	skipped := b.lex.skipped
	for n < len(frames) {
		words, rest, done := b.lex.next(b.rest)
		b.rest = rest
		if !done {
			break
		}
		f, err := parseElement(words)
		switch {
		case err == nil:
			frames[n] = f
			n++
		case errors.Is(err, errRefused):
			b.refused.Add(1)
		case !errors.Is(err, errNoFrame):
			b.malformed.Add(1)
		}
	}
	b.malformed.Add(b.lex.skipped - skipped)
	return n
}

var (
	errNoFrame = errors.New("not a frame")
	errRefused = errors.New("refused")
)

func parseElement(words []string) (canbus.Frame, error) {
	if len(words) == 0 {
		return canbus.Frame{}, errors.New("an empty element")
	}
	switch words[0] {
	case "frame", "fdframe":
		return parseFrame(words)
	case "error":
		// An error of the bus, or in words one of a command.
		if f, err := parseFrame(words); err == nil {
			return f, nil
		}
		return canbus.Frame{}, errRefused
	case "hi", "ok", "echo", "stat", "rtr":
		return canbus.Frame{}, errNoFrame
	}
	return canbus.Frame{}, fmt.Errorf("unknown element %q", words[0])
}

// WriteFrames implements [canbus.Bus]. It waits while the server takes nothing. A
// frame that is not valid (see [canbus.Frame.Validate]) or a remote frame is refused,
// after those before it were taken.
func (b *Bus) WriteFrames(frames []canbus.Frame) (int, error) {
	if err := b.life.Err(); err != nil {
		return 0, err
	}
	good, bad := check(frames[:min(len(frames), batchLen)])
	if good == 0 {
		return 0, bad
	}
	n := b.line.Admit(frames[:good])
	for n == 0 {
		if err := b.life.Sleep(b.line.Wait()); err != nil {
			return 0, err
		}
		n = b.line.Admit(frames[:good])
	}
	b.out = b.out[:0]
	for i := range frames[:n] {
		b.out = appendSend(b.out, &frames[i])
	}
	if _, err := b.conn.Write(b.out); err != nil {
		b.fail(err)
		return 0, b.life.Err()
	}
	return n, nil
}

// check returns how many frames may be sent, and what is wrong with the one after
// them.
func check(frames []canbus.Frame) (int, error) {
	for i := range frames {
		f := &frames[i]
		if err := f.Validate(); err != nil {
			return i, err
		}
		if f.Has(canbus.Remote) {
			return i, fmt.Errorf("socketcand: frame %X is a remote frame, which the protocol has not", f.ID)
		}
	}
	return len(frames), nil
}

// fail makes the loss of the connection the error of every call.
func (b *Bus) fail(err error) {
	b.life.Fail(&LostError{Bus: b.name, Err: lifetime.Cause(err)})
}

// Close implements [canbus.Bus].
func (b *Bus) Close() error {
	b.life.Close()
	return nil
}
