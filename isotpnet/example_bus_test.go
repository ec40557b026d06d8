package isotpnet_test

import (
	"fmt"
	"log"
	"net"
	"sync"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// A chanBus is one end of a CAN bus between two users, made of channels.
type chanBus struct {
	in     <-chan canbus.Frame
	out    chan<- canbus.Frame
	closed chan struct{}
	once   sync.Once
}

var _ canbus.Bus = (*chanBus)(nil)

func newChanBus() (a, b *chanBus) {
	ab, ba := make(chan canbus.Frame, 16), make(chan canbus.Frame, 16)
	a = &chanBus{in: ba, out: ab, closed: make(chan struct{})}
	b = &chanBus{in: ab, out: ba, closed: make(chan struct{})}
	return a, b
}

// ReadFrames may return one frame at a time: what counts is that it waits.
func (c *chanBus) ReadFrames(frames []canbus.Frame) (int, error) {
	select {
	case frames[0] = <-c.in:
		return 1, nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

// WriteFrames may take fewer than all frames: it is called again for the rest.
func (c *chanBus) WriteFrames(frames []canbus.Frame) (int, error) {
	if n, err := canbus.CheckFrames(frames[:1], nil); n == 0 {
		return 0, err
	}
	f := frames[0]
	f.Strip() // what another bus has told of it is not for this one's reader
	select {
	case <-c.closed: // also where there is room
		return 0, net.ErrClosed
	default:
	}
	select {
	case c.out <- f:
		return 1, nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *chanBus) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// Any hardware becomes a bus by three methods. The addresses of its connections name no
// bus, and the program that has opened the bus closes it.
func Example_customBus() {
	bus1, bus2 := newChanBus()
	defer bus1.Close()
	defer bus2.Close()

	dialer1 := isotpnet.Dialer{Bus: bus1}
	tester, err := dialer1.Dial("isotp", "/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer tester.Close()
	dialer2 := isotpnet.Dialer{Bus: bus2}
	ecu, err := dialer2.Dial("isotp", "/7E8:7E0")
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()

	go tester.Write([]byte("a message of more than one frame"))
	buf := make([]byte, 4095)
	n, err := ecu.Read(buf)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", buf[:n])
	// Output:
	// a message of more than one frame
}
