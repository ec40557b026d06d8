package canbus_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
)

// A printer passes on the frames of another bus, and prints those that are read.
type printer struct{ canbus.Bus }

func (p printer) ReadFrames(frames []canbus.Frame) (int, error) {
	n, err := p.Bus.ReadFrames(frames)
	for _, f := range frames[:n] {
		fmt.Println("read", f)
	}
	return n, err
}

// Unwrap lets As find what the other bus has.
func (p printer) Unwrap() canbus.Bus { return p.Bus }

// A bus that watches another one embeds it, and has it do the rest.
func ExampleBus() {
	bus := printer{mustOpen("virtual:printed")}
	defer bus.Close()
	peer := mustOpen("virtual:printed")
	defer peer.Close()

	filters, ok := canbus.As[canbus.FilterSetter](bus) // the bus inside has them
	if !ok {
		log.Fatal("it has no filters")
	}
	if err := filters.SetFilters([]canbus.Filter{{ID: 0x7E8, Mask: 0x7FF}}); err != nil {
		log.Fatal(err)
	}
	for _, id := range []uint32{0x100, 0x7E8} {
		if _, err := peer.WriteFrames([]canbus.Frame{{ID: id, Len: 1}}); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := bus.ReadFrames(make([]canbus.Frame, 16)); err != nil {
		log.Fatal(err)
	}
	// Output: read 7E8#00
}

// What a bus says of itself: whether it carries CAN FD, tells when a frame is on the wire, and
// how fast it is.
func ExampleDescriber() {
	network, err := virtual.Create("described", virtual.Options{Bitrate: 500_000, DataBitrate: 2_000_000})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	bus := mustOpen("virtual:described")
	defer bus.Close()

	if d, ok := canbus.As[canbus.Describer](bus); ok {
		p := d.Properties()
		fmt.Printf("FD: %v, echo: %v, %d and %d bit/s\n", p.FD, p.Echo, p.Bitrate, p.DataBitrate)
	}
	// Output: FD: true, echo: true, 500000 and 2000000 bit/s
}

// Frames are written as far as there is room at once; those left over are tried again later.
// It is a method of the bus itself: As is not for it.
func ExampleTryWriter() {
	network, err := virtual.Create("full", virtual.Options{BufferLen: 4})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	bus, slow := mustOpen("virtual:full"), mustOpen("virtual:full")
	defer bus.Close()
	defer slow.Close()

	frames := make([]canbus.Frame, 6)
	w, ok := bus.(canbus.TryWriter)
	if !ok {
		log.Fatal("it may wait with each frame")
	}
	for range 2 {
		n, err := w.TryWriteFrames(frames)
		fmt.Println("taken:", n, err)
		frames = frames[n:]
	}
	slow.ReadFrames(make([]canbus.Frame, 16)) // makes room
	n, err := w.TryWriteFrames(frames)
	fmt.Println("taken:", n, err)
	// Output:
	// taken: 4 <nil>
	// taken: 0 <nil>
	// taken: 2 <nil>
}

// A reader that asks after each ReadFrames whether it was too slow.
func ExampleDropCounter() {
	network, err := virtual.Create("dropped", virtual.Options{BufferLen: 4})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	bus, err := network.Observe() // it holds up no writer
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	sender := mustOpen("virtual:dropped")
	defer sender.Close()
	if _, err := sender.WriteFrames(make([]canbus.Frame, 6)); err != nil {
		log.Fatal(err)
	}

	n, err := bus.ReadFrames(make([]canbus.Frame, 16))
	fmt.Println("read:", n, err)
	if counter, ok := canbus.As[canbus.DropCounter](bus); ok {
		fmt.Println("lost so far:", counter.Dropped())
	}
	// Output:
	// read: 4 <nil>
	// lost so far: 2
}

// Close may lose frames that an adapter still has in its queue, so the program waits until
// they are on the wire. For this bus it imports _ "example.com/isotp/canbus/slcan".
func ExampleFlusher() {
	bus := mustOpen("slcan:/dev/ttyACM0@500000")
	defer bus.Close()
	if _, err := bus.WriteFrames([]canbus.Frame{{ID: 0x123, Len: 8}}); err != nil {
		log.Fatal(err)
	}
	if f, ok := canbus.As[canbus.Flusher](bus); ok {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := f.Flush(ctx); errors.Is(err, context.DeadlineExceeded) {
			log.Print("frames are still waiting: is another node there?")
		} else if err != nil {
			log.Print(err) // it says how many frames are in doubt
		}
	}
}
