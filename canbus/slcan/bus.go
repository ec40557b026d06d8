package slcan

import (
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/lifetime"
	"example.com/isotp/canbus/internal/line"
)

func init() {
	canbus.Register("slcan", func(address string) (canbus.Bus, error) {
		port, o, err := parseAddress(address)
		if err != nil {
			return nil, err
		}
		b, err := Open(port, o)
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
	batchLen = 16
	// patience is how long an adapter may take to answer a command, and to take
	// the one that closes the channel.
	patience = 200 * time.Millisecond
	// quiet is how long an adapter says nothing when it has answered what others
	// had asked it.
	quiet = 20 * time.Millisecond
)

// A Bus is the bus that an adapter is on.
type Bus struct {
	name  string
	port  io.ReadWriteCloser
	props canbus.Properties
	line  line.Line
	life  *lifetime.Lifetime

	chunks  chan []byte // what the adapter says
	lex     lexer
	rest    []byte // what was not yet cut into lines
	early   []canbus.Frame
	writing chan struct{} // holds one token: whoever has it writes
	out     []byte
	ask     atomic.Bool // for the adapter's status

	malformed atomic.Uint64
	refused   atomic.Uint64
}

// A LostError is that of every call once the adapter has gone. To errors.Is it is
// net.ErrClosed, and its cause.
type LostError struct {
	Port string
	Err  error // what the system said
}

func (e *LostError) Error() string {
	return fmt.Sprintf("slcan: the adapter on %s is gone: %v", e.Port, e.Err)
}

func (e *LostError) Unwrap() []error { return []error{net.ErrClosed, e.Err} }

// Open opens an adapter on a serial port.
func Open(port string, o Options) (*Bus, error) {
	if _, err := o.commands(); err != nil {
		return nil, err
	}
	p, err := openPort(port, o.Baud)
	if err != nil {
		return nil, err
	}
	return New(p, port, o)
}

// New opens the adapter at the other end of a connection, such as a serial line
// across a network. Close of the connection must end a Read and a Write under way.
// The connection is the Bus's, which closes it, also when New fails. name stands in
// errors.
func New(port io.ReadWriteCloser, name string, o Options) (*Bus, error) {
	commands, err := o.commands()
	if err != nil {
		port.Close()
		return nil, err
	}
	b := &Bus{
		name:    name,
		port:    port,
		props:   canbus.Properties{FD: o.DataBitrate > 0, Bitrate: o.Bitrate, DataBitrate: o.DataBitrate, WireRate: true},
		line:    line.Line{Bitrate: o.Bitrate, DataBitrate: o.DataBitrate},
		life:    lifetime.New(func() { port.Close() }),
		chunks:  make(chan []byte),
		writing: make(chan struct{}, 1),
	}
	go b.pump()
	if err := b.setUp(commands); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// pump reads the port: a Read cannot be given a time.
func (b *Bus) pump() {
	defer close(b.chunks)
	for {
		chunk := make([]byte, 4096)
		n, err := b.port.Read(chunk)
		if n > 0 {
			select {
			case b.chunks <- chunk[:n]:
			case <-b.life.Over():
				return
			}
		}
		if err != nil {
			b.fail(err)
			return
		}
	}
}

// setUp closes a channel that may be open, sets the adapter up and opens it.
func (b *Bus) setUp(commands []string) error {
	// What stands in the adapter's buffer ends here; the answers are to whatever.
	if err := b.send([]byte("\r\rC\r")); err != nil {
		return err
	}
	answers := false
	for wait := patience; ; wait = quiet {
		end, err := b.answer(wait)
		if err != nil {
			return err
		}
		if end == 0 {
			break
		}
		answers = true
	}
	b.early = nil // of the channel as it was open before
	for _, command := range commands {
		if err := b.send([]byte(command + "\r")); err != nil {
			return err
		}
		if !answers {
			continue
		}
		end, err := b.answer(patience)
		if err != nil {
			return err
		}
		if end == bel {
			return fmt.Errorf("slcan: the adapter on %s refuses the command %s", b.name, command)
		}
	}
	return nil
}

// answer waits for an answer, which is a line without anything before its end, and
// returns that end; 0 if there is none in that time. Frames that come before it are
// kept.
func (b *Bus) answer(wait time.Duration) (end byte, err error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		for {
			text, end, rest, done := b.lex.next(b.rest)
			b.rest = rest
			if !done {
				break
			}
			if len(text) == 0 {
				return end, nil
			}
			if f, err := parseLine(text); err == nil && len(b.early) < 1000 {
				b.early = append(b.early, f)
			}
		}
		select {
		case chunk, ok := <-b.chunks:
			if !ok {
				return 0, b.life.Err()
			}
			b.rest = chunk
		case <-timer.C:
			return 0, nil
		}
	}
}

// Properties implements [canbus.Describer].
func (b *Bus) Properties() canbus.Properties { return b.props }

// Malformed returns how many lines were left out because they were no frames.
func (b *Bus) Malformed() uint64 { return b.malformed.Load() }

// Refused returns how many commands, frames to be sent most likely, the adapter
// has refused.
func (b *Bus) Refused() uint64 { return b.refused.Load() }

// ReadFrames implements [canbus.Bus]. What is no frame is left out and counted, see
// [Bus.Malformed].
func (b *Bus) ReadFrames(frames []canbus.Frame) (int, error) {
	if len(frames) == 0 {
		return 0, b.life.Err()
	}
	for {
		if n := b.take(frames); n > 0 {
			return n, nil
		}
		select {
		case <-b.life.Over():
			return 0, b.life.Err()
		case chunk, ok := <-b.chunks:
			if !ok {
				return 0, b.life.Err()
			}
			b.rest = chunk
		}
	}
}

// take cuts what is there into frames, as many as there is room for.
func (b *Bus) take(frames []canbus.Frame) int {
	n := copy(frames, b.early)
	b.early = b.early[n:]
	now := time.Now().UnixNano()
	for n < len(frames) {
		text, end, rest, done := b.lex.next(b.rest)
		b.rest = rest
		if !done {
			break
		}
		if end == bel {
			b.refused.Add(1)
			b.ask.Store(true)
		}
		f, err := parseLine(text)
		switch {
		case err == nil:
			f.Timestamp = now
			frames[n] = f
			n++
		case err != errNoFrame:
			b.malformed.Add(1)
		}
	}
	return n
}

// WriteFrames implements [canbus.Bus]. It waits while the wire or the adapter is
// busy. A frame that is not valid (see [canbus.Frame.Validate]), or CAN FD where the
// adapter has no data bit rate, is refused, after those before it were taken.
func (b *Bus) WriteFrames(frames []canbus.Frame) (int, error) {
	if err := b.life.Err(); err != nil {
		return 0, err
	}
	good, bad := b.check(frames[:min(len(frames), batchLen)])
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
	if b.ask.Swap(false) {
		b.out = append(b.out, 'F', cr)
	}
	for i := range frames[:n] {
		b.out = appendFrame(b.out, &frames[i])
	}
	if err := b.send(b.out); err != nil {
		return 0, err
	}
	return n, nil
}

// check returns how many frames may be sent, and what is wrong with the one after
// them.
func (b *Bus) check(frames []canbus.Frame) (int, error) {
	for i := range frames {
		f := &frames[i]
		if err := f.Validate(); err != nil {
			return i, err
		}
		if f.Has(canbus.FD) && !b.props.FD {
			return i, fmt.Errorf("slcan: CAN FD frame %X on %s, which was opened for classic CAN (DataBitrate, or ,data=2000000 in its name, makes it CAN FD)", f.ID, b.name)
		}
	}
	return len(frames), nil
}

// send writes to the port.
func (b *Bus) send(text []byte) error {
	select {
	case b.writing <- struct{}{}:
	case <-b.life.Over():
		return b.life.Err()
	}
	defer func() { <-b.writing }()
	if err := b.life.Err(); err != nil {
		return err
	}
	if _, err := b.port.Write(text); err != nil {
		b.fail(err)
		return b.life.Err()
	}
	return nil
}

// fail makes the loss of the adapter the error of every call.
func (b *Bus) fail(err error) {
	b.life.Fail(&LostError{Port: b.name, Err: lifetime.Cause(err)})
}

// Close implements [canbus.Bus]. It closes the adapter's channel, unless the adapter
// takes no commands.
func (b *Bus) Close() error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-b.life.Over():
	case <-timer.C:
	case b.writing <- struct{}{}:
		taken := make(chan struct{})
		go func() {
			defer close(taken)
			b.port.Write([]byte{'C', cr})
			<-b.writing
		}()
		select {
		case <-taken:
		case <-timer.C:
		}
	}
	b.life.Close()
	return nil
}
