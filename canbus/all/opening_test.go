package all_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"example.com/isotp/canbus"
	_ "example.com/isotp/canbus/all"
	"example.com/isotp/isotpnet"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A slowBus is the name of a bus whose opening takes longer than any test waits.
type slowBus struct {
	name    string
	opening <-chan struct{} // closed when the driver waits
	left    func() error    // why something is left open, after the driver has given up
}

// silentServer is a computer that is reached and says nothing.
func silentServer(t *testing.T, name func(address string) string) slowBus {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opening, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		close(opening)
		if err != nil { // the driver did not come that far
			ended <- nil
			return
		}
		defer conn.Close()
		_, err = io.Copy(io.Discard, conn)
		ended <- err
	}()
	return slowBus{name(ln.Addr().String()), opening, func() error {
		ln.Close()
		return <-ended
	}}
}

var slowBuses = map[string]func(t *testing.T) slowBus{
	"cannelloni": func(t *testing.T) slowBus {
		return silentServer(t, func(address string) string { return "cannelloni:tcp:" + address })
	},
	"slcan": func(t *testing.T) slowBus {
		return silentServer(t, func(address string) string { return "slcan:tcp:" + address + "@500000,wait=1h" })
	},
	"socketcand": func(t *testing.T) slowBus {
		return silentServer(t, func(address string) string { return "socketcand:" + address + "/can0" })
	},
}

// ways are how a caller gives up; each returns the error.
var ways = map[string]struct {
	want error
	open func(b slowBus) error
}{
	"canbus.Open, canceled": {context.Canceled, func(b slowBus) error {
		return canceled(b, func(ctx context.Context) (io.Closer, error) { return canbus.Open(ctx, b.name) })
	}},
	"Dialer.DialContext, canceled": {context.Canceled, func(b slowBus) error {
		return canceled(b, func(ctx context.Context) (io.Closer, error) {
			return new(isotpnet.Dialer).DialContext(ctx, "isotp:user", b.name+"/7E0:7E8")
		})
	}},
	"ListenConfig.Listen, canceled": {context.Canceled, func(b slowBus) error {
		return canceled(b, func(ctx context.Context) (io.Closer, error) {
			return new(isotpnet.ListenConfig).Listen(ctx, "isotp:user", b.name+"/7E8:7E0")
		})
	}},
	"canbus.Open, too late": {context.DeadlineExceeded, func(b slowBus) error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_, err := canbus.Open(ctx, b.name)
		return err
	}},
	"Dialer.Timeout": {context.DeadlineExceeded, func(b slowBus) error {
		d := isotpnet.Dialer{Timeout: 20 * time.Millisecond}
		_, err := d.Dial("isotp:user", b.name+"/7E0:7E8")
		if err != nil && !err.(net.Error).Timeout() {
			return errors.New("the error is no time-out")
		}
		return err
	}},
}

// canceled cancels an opening once it is under way.
func canceled(b slowBus, open func(ctx context.Context) (io.Closer, error)) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-b.opening
		cancel()
	}()
	c, err := open(ctx)
	if err == nil {
		c.Close()
	}
	return err
}

func TestAContextEndsTheOpeningAndNothingStaysOpen(t *testing.T) {
	for driver, slow := range slowBuses {
		for name, way := range ways {
			t.Run(driver+"/"+name, func(t *testing.T) {
				b := slow(t)
				if err := way.open(b); !errors.Is(err, way.want) {
					t.Errorf("error %v, want %v", err, way.want)
				}
				if err := b.left(); err != nil {
					t.Errorf("left behind: %v", err)
				}
			})
		}
	}
}

// A context that has ended opens nothing, whatever the driver.
func TestAContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range []string{
		"can0", "candump:-", "cannelloni:udp:127.0.0.1", "slcan:/dev/null@500000", "socketcand:127.0.0.1:1/can0", "udp:239.74.163.2:43113", "virtual:x",
	} {
		if b, err := canbus.Open(ctx, name); b != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("Open(%s): %v, %v", name, b, err)
		}
	}
}
