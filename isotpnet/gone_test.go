package isotpnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// wantGone wants an error that tells of the adapter. It is not net.ErrClosed, as the program
// has closed nothing.
func wantGone(t testing.TB, what string, err, gone error) {
	t.Helper()
	if !errors.Is(err, gone) || errors.Is(err, net.ErrClosed) {
		t.Errorf("%s: %v, want %v, which is not net.ErrClosed", what, err, gone)
	}
}

// waysToOpen an address.
var waysToOpen = map[string]func(address string) (io.Closer, error){
	"Dial":         func(a string) (io.Closer, error) { return isotpnet.Dial("isotp", a) },
	"Listen":       func(a string) (io.Closer, error) { return isotpnet.Listen("isotp", a) },
	"ListenPacket": func(a string) (io.Closer, error) { return isotpnet.ListenPacket("isotp", a) },
}

// waysToStream are those that leave the bus open for a while after Close.
var waysToStream = map[string]func(address string) (io.Closer, error){
	"Dial":              func(a string) (io.Closer, error) { return isotpnet.Dial("isotp-stream", a) },
	"Listen":            func(a string) (io.Closer, error) { return isotpnet.Listen("isotp-stream", a) },
	"Listen on several": func(a string) (io.Closer, error) { return isotpnet.Listen("isotp-stream", a+",7E1:7E9") },
}

// The adapter may be plugged in, and opened then.
func TestOpeningAnAdapterThatIsGone(t *testing.T) {
	pullOut()
	for _, ways := range []map[string]func(string) (io.Closer, error){waysToOpen, waysToStream} {
		for name, open := range ways {
			_, err := open("plug:" + testerAddr)
			wantGone(t, name, err, errUnplugged)
			if isotpnet.Final(err) {
				t.Errorf("%s: %v is final", name, err)
			}
		}
	}
}

// A dyingBus has lost its adapter, and ReadFrames has not noticed yet.
type dyingBus struct{ *plainBus }

func (dyingBus) WriteFrames([]canbus.Frame) (int, error) { return 0, errAdapter }
func (dyingBus) Flush(context.Context) error             { return errAdapter }

func TestOpeningABusWithAnotherThatHasFailedToWrite(t *testing.T) {
	for name, open := range waysToOpen {
		synctest.Test(t, func(t *testing.T) {
			slowBuses <- func() (canbus.Bus, error) { return dyingBus{newPlainBus(t)}, nil }
			c, err := isotpnet.Dial("isotp", "slow:"+t.Name()+"/123:456")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte{1}); !errors.Is(err, errAdapter) {
				t.Fatalf("Write: %v, want %v", err, errAdapter)
			}
			_, err = open("slow:" + t.Name() + testerAddr)
			wantGone(t, name, err, errAdapter)
		})
	}
}

// Whether all frames were sent is not known.
func TestCloseTellsThatTheAdapterIsGone(t *testing.T) {
	for name, open := range waysToOpen {
		synctest.Test(t, func(t *testing.T) {
			slowBuses <- func() (canbus.Bus, error) { return dyingBus{newPlainBus(t)}, nil }
			c, err := open("slow:" + t.Name() + testerAddr)
			if err != nil {
				t.Fatal(err)
			}
			wantGone(t, name, c.Close(), errAdapter)
		})
	}
}
