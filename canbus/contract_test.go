package canbus_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"example.com/isotp/canbus"
)

type plainBus struct{ canbus.Bus }

type countingBus struct {
	canbus.Bus
	dropped uint64
}

func (b countingBus) Dropped() uint64 { return b.dropped }

func (b countingBus) Properties() canbus.Properties { return canbus.Properties{QueueLen: 3} }

type wrapper struct{ canbus.Bus }

func (w wrapper) Unwrap() canbus.Bus { return w.Bus }

func TestAsFindsWhatIsWrapped(t *testing.T) {
	counter, ok := canbus.As[canbus.DropCounter](wrapper{wrapper{countingBus{dropped: 7}}})
	if !ok || counter.Dropped() != 7 {
		t.Errorf("got %v, %v", counter, ok)
	}
}

func TestAsTakesTheOuterOne(t *testing.T) {
	counter, ok := canbus.As[canbus.DropCounter](countingBus{Bus: wrapper{countingBus{dropped: 7}}, dropped: 8})
	if !ok || counter.Dropped() != 8 {
		t.Errorf("got %v, %v", counter, ok)
	}
}

func TestAsOfABusWithoutIt(t *testing.T) {
	for _, bus := range []canbus.Bus{nil, plainBus{}, wrapper{}, wrapper{plainBus{}}} {
		if counter, ok := canbus.As[canbus.DropCounter](bus); ok || counter != nil {
			t.Errorf("%T is found to have %v", bus, counter)
		}
	}
}

func TestPropertiesOf(t *testing.T) {
	if p := canbus.PropertiesOf(wrapper{countingBus{}}); p != (canbus.Properties{QueueLen: 3}) {
		t.Errorf("got %+v, want those of the bus that is wrapped", p)
	}
	if p := canbus.PropertiesOf(plainBus{}); p != (canbus.Properties{FD: true}) {
		t.Errorf("got %+v of a bus that does not say", p)
	}
}

func TestTemporary(t *testing.T) {
	err := fmt.Errorf("reading: %w", canbus.Temporary(io.ErrNoProgress))
	if !errors.Is(err, canbus.ErrTemporary) || !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("%v is not both", err)
	}
	if err.Error() != "reading: "+io.ErrNoProgress.Error() {
		t.Errorf("the text is %q", err)
	}
	if errors.Is(io.ErrNoProgress, canbus.ErrTemporary) {
		t.Error("the error itself has become temporary")
	}
	if canbus.Temporary(nil) != nil {
		t.Error("nil has become an error")
	}
}

func TestGoneError(t *testing.T) {
	err := &canbus.GoneError{Bus: "slcan: the adapter on COM3", Err: io.ErrUnexpectedEOF}
	if !errors.Is(err, net.ErrClosed) || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, canbus.ErrTemporary) {
		t.Errorf("%v is not net.ErrClosed and its cause", err)
	}
	if want := "slcan: the adapter on COM3 is gone: unexpected EOF"; err.Error() != want {
		t.Errorf("the text is %q, want %q", err, want)
	}
	err.InDoubt, err.Advice = 3, "say the bit rate"
	if want := "slcan: the adapter on COM3 is gone: unexpected EOF; the last 3 frames may not have been sent (say the bit rate)"; err.Error() != want {
		t.Errorf("the text is %q, want %q", err, want)
	}
}
