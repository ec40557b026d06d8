package canbus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"example.com/isotp/canbus"
)

// A pulled is the bus of an adapter that was pulled out.
type pulled struct{ canbus.Bus }

func (pulled) ReadFrames([]canbus.Frame) (int, error) {
	return 0, &canbus.GoneError{Bus: "mycan: the adapter on /dev/ttyACM0", Err: io.ErrUnexpectedEOF, InDoubt: 2}
}

// Why a loop that reads has ended. A GoneError is net.ErrClosed as well, which ends loops that
// ask for that alone, so ask for it first.
func ExampleGoneError() {
	bus := pulled{}
	_, err := bus.ReadFrames(make([]canbus.Frame, 16))
	if gone, ok := errors.AsType[*canbus.GoneError](err); ok {
		fmt.Println("lost:", gone)
		fmt.Println("send again, perhaps:", gone.InDoubt)
	} else if errors.Is(err, net.ErrClosed) {
		fmt.Println("this program has closed it")
	}
	// Output:
	// lost: mycan: the adapter on /dev/ttyACM0 is gone: unexpected EOF; the last 2 frames may not have been sent
	// send again, perhaps: 2
}

// Frames that a bus had taken, and could not send, come back with two flags. A Write of
// package isotpnet returns this error for them.
func ExampleRefusedError() {
	read := []canbus.Frame{ // by ReadFrames
		{ID: 0x7E0, Len: 2, Data: [64]byte{0x01, 0x3E}, Flags: canbus.Echo},
		{ID: 0x7E0, Len: 2, Data: [64]byte{0x01, 0x11}, Flags: canbus.Echo | canbus.Refused},
		{ID: 0x7E8, Len: 2, Data: [64]byte{0x01, 0x7E}},
	}
	for _, f := range read {
		switch {
		case f.Has(canbus.Echo | canbus.Refused):
			fmt.Println(&canbus.RefusedError{Frame: f})
		case f.Has(canbus.Echo):
			fmt.Println("sent:", f)
		default:
			fmt.Println("received:", f)
		}
	}
	// Output:
	// sent: 7E0#013E
	// the bus has refused frame 7E0#0111: it was not sent
	// received: 7E8#017E
}

// A name that is wrong, whatever is connected: the user has to be asked for another one.
func ExampleNameError() {
	_, err := canbus.Open(context.Background(), "virtual:")
	if wrong, ok := errors.AsType[*canbus.NameError](err); ok {
		fmt.Println(wrong)
	}
	// Output: virtual: a bus needs a name, as in "virtual:demo"
}

// A name with a scheme that no imported driver has. The error says what to import.
func ExampleUnknownBusError() {
	_, err := canbus.Open(context.Background(), "slcan:COM3@500000")
	if e, ok := errors.AsType[*canbus.UnknownBusError](err); ok {
		fmt.Println(e.Name, e.Driver)
	}
	// Output: slcan:COM3@500000 example.com/isotp/canbus/slcan
}
