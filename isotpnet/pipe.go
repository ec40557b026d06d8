package isotpnet

import (
	"io"
	"sync"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/mux"
)

// Pipe returns the two ends of a connection within the program, like [net.Pipe],
// but with ISO-TP between them: two engines and a bus. nil stands for the zero
// Config. Unlike other connections of the network "isotp" its ends know each
// other: when one is closed, the other reads io.EOF after the last message, and
// its Write fails with io.ErrClosedPipe.
func Pipe(c *Config) (*Conn, *Conn, error) {
	const network = messageNetwork
	if c == nil {
		c = new(Config)
	}
	addr := MustParseAddr("/7E0:7E8")
	d := &Dialer{Config: *c}
	if err := d.Config.check(); err != nil {
		return nil, nil, opError(opDial, network, nil, addr, err)
	}
	if err := userRefuses(&d.Config, nil); err != nil {
		return nil, nil, opError(opDial, network, nil, addr, err)
	}
	c1, c2, err := d.pipe(network, addr)
	if err != nil {
		return nil, nil, opError(opDial, network, nil, addr, err)
	}
	return c1, c2, nil
}

func (d *Dialer) pipe(network string, addr Addr) (c1, c2 *Conn, err error) {
	m, release := mux.Own(&pipeBus{closed: make(chan struct{})})
	c1, err = d.attach(m, release, network, addr)
	if err == nil {
		c2, err = d.attach(m, release, network, addr.Mirror())
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return c1, c2, nil
}

// A pipeBus is the bus of a Pipe. Its ends share a Mux, which hands over what they send to
// each other. So the bus takes every frame, and there is nothing to read but its end: that
// comes when the first of them is closed.
type pipeBus struct {
	closing sync.Once
	closed  chan struct{}
}

var (
	_ canbus.Describer = (*pipeBus)(nil)
	_ canbus.TryWriter = (*pipeBus)(nil)
)

func (b *pipeBus) Properties() canbus.Properties { return canbus.Properties{FD: true, InProcess: true} }

func (b *pipeBus) ReadFrames([]canbus.Frame) (int, error) {
	<-b.closed
	return 0, io.EOF
}

func (b *pipeBus) TryWriteFrames(frames []canbus.Frame) (int, error) {
	select {
	case <-b.closed:
		return 0, io.ErrClosedPipe
	default:
		return len(frames), nil
	}
}

func (b *pipeBus) WriteFrames(frames []canbus.Frame) (int, error) { return b.TryWriteFrames(frames) }

func (b *pipeBus) Close() error {
	b.closing.Do(func() { close(b.closed) })
	return nil
}
