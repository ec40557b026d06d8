package isotpnet

import (
	"example.com/isotp/canbus/virtual"
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
	bus, err := virtual.New(virtual.Options{HangUp: true})
	if err != nil {
		return nil, nil, err
	}
	// Both taps join before either is read: a tap that is read alone would see the other
	// end as closed.
	var taps [2]*virtual.Tap
	for i := range taps {
		if taps[i], err = bus.Tap(); err != nil {
			return nil, nil, err
		}
	}
	m1, release1 := mux.Own(taps[0])
	m2, release2 := mux.Own(taps[1])
	c1, err = d.attach(m1, release1, network, addr)
	if err == nil {
		c2, err = d.attach(m2, release2, network, addr.Mirror())
	}
	if err != nil {
		release1()
		release2()
		return nil, nil, err
	}
	return c1, c2, nil
}
