package isotpnet_test

import (
	"fmt"
	"log"
	"net"
	"sync/atomic"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// The functions of a maker's library, as they often are: with a handle, a time to
// wait at most, and a kind of frame of their own. Here the wire is a channel that
// says everything back, to another identifier.
type (
	vendorHandle chan vendorFrame
	vendorFrame  struct {
		id       uint32
		extended bool
		data     []byte
	}
)

func vendorOpen() vendorHandle { return make(vendorHandle, 8) }

func vendorSend(h vendorHandle, m vendorFrame) {
	m.id++
	h <- m
}

func vendorReceive(h vendorHandle, wait time.Duration) (vendorFrame, bool) {
	select {
	case m := <-h:
		return m, true
	case <-time.After(wait):
		return vendorFrame{}, false
	}
}

// A hardwareBus makes a canbus.Bus of them.
type hardwareBus struct {
	handle vendorHandle
	closed atomic.Bool
}

// ReadFrames looks every 10 ms whether the bus was closed.
func (b *hardwareBus) ReadFrames(frames []canbus.Frame) (int, error) {
	for !b.closed.Load() {
		m, ok := vendorReceive(b.handle, 10*time.Millisecond)
		if !ok {
			continue
		}
		f := canbus.Frame{ID: m.id, Len: uint8(len(m.data))}
		if m.extended {
			f.Flags |= canbus.Extended
		}
		copy(f.Data[:], m.data)
		frames[0] = f
		return 1, nil
	}
	return 0, net.ErrClosed
}

func (b *hardwareBus) WriteFrames(frames []canbus.Frame) (int, error) {
	for i := range frames {
		if b.closed.Load() {
			return i, net.ErrClosed
		}
		f := &frames[i]
		// The frame is ours only during the call, so its data are copied.
		vendorSend(b.handle, vendorFrame{f.ID, f.Has(canbus.Extended), append([]byte(nil), f.Payload()...)})
	}
	return len(frames), nil
}

func (b *hardwareBus) Close() error {
	b.closed.Store(true)
	return nil
}

// Properties are optional: here they say that there is no CAN FD.
func (b *hardwareBus) Properties() canbus.Properties { return canbus.Properties{Bitrate: 500_000} }

// Where can-isotp takes two functions, and functools.partial to give them a
// handle, a type has the handle and the functions as its methods.
func Example_hardwareWithHandle() {
	bus := &hardwareBus{handle: vendorOpen()}
	defer bus.Close()
	dialer := isotpnet.Dialer{Bus: bus}
	conn, err := dialer.Dial("isotp", "/00123456:00123457")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		log.Fatal(err)
	}
	buf := make([]byte, 8)
	n, err := conn.Read(buf)
	fmt.Printf("%s, error %v\n", buf[:n], err)

	dialer.Config.FD = true
	_, err = dialer.Dial("isotp", "/00123458:00123459")
	fmt.Println(err)
	// Output:
	// hello, error <nil>
	// dial isotp /00123458:00123459: Config.FD is true: the bus carries classic CAN only
}
