package einride

import (
	"errors"
	"net"
	"os"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/conntest"
	"example.com/isotp/test/vm/cantest"
	"go.einride.tech/can/pkg/socketcan"
	"golang.org/x/sys/unix"
)

// These tests need CAN in the kernel: see test/vm.

// onInterface is a Bus of their connection to an interface.
func onInterface(name string) (*Bus, error) {
	conn, err := socketcan.Dial("can", name, socketcan.WithReceiveErrorFrames())
	if err != nil {
		return nil, err
	}
	return NewBus(conn), nil
}

// roomyBuffers gives sockets made from now on room for some 5000 frames. By default
// they hold less than 300, and those of their library are as they are by default.
func roomyBuffers(t *testing.T) {
	t.Helper()
	const setting = "/proc/sys/net/core/rmem_default"
	before, err := os.ReadFile(setting)
	if err == nil {
		err = os.WriteFile(setting, []byte("4194304"), 0)
	}
	switch {
	case err == nil:
		t.Cleanup(func() { os.WriteFile(setting, before, 0) })
	case cantest.InMachine():
		t.Fatal(err)
	default:
		t.Skip("the sockets' buffers are small: ", err)
	}
}

func TestKernelBusConforms(t *testing.T) {
	cantest.Need(t)
	roomyBuffers(t)
	bustest.TestBus(t, func() (a, b canbus.Bus, stop func(), err error) {
		if a, err = onInterface("vcan0"); err != nil {
			return nil, nil, nil, err
		}
		b, err = onInterface("vcan0")
		return a, b, nil, err
	}, bustest.Options{Lossy: true})
}

func TestKernelMessagesToOurs(t *testing.T) {
	cantest.Need(t)
	for _, network := range []string{"isotp:user", "isotp:kernel"} {
		t.Run(network, func(t *testing.T) {
			bus, err := onInterface("vcan1")
			if err != nil {
				t.Fatal(err)
			}
			defer bus.Close()
			// The blocks are short enough for the sockets' buffers.
			config := isotpnet.Config{BlockSize: 50}
			d := isotpnet.Dialer{Bus: bus, Config: config}
			theirs, err := d.DialContext(t.Context(), "isotp:user", "/7E0:7E8")
			if err != nil {
				t.Fatal(err)
			}
			defer theirs.Close()
			d = isotpnet.Dialer{Config: config}
			ours, err := d.Dial(network, "vcan1/7E8:7E0")
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			conntest.Exchange(t, theirs, ours)
		})
	}
}

// made is an interface of the test's own.
func made(t *testing.T) string {
	t.Helper()
	const name = "einride0"
	for _, err := range []error{cantest.AddLink(name), cantest.SetLink(name, true)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { cantest.DeleteLink(name) })
	return name
}

func TestKernelFullQueueIsATemporaryError(t *testing.T) {
	cantest.Need(t)
	name := made(t)
	if err := cantest.SetQueue(name, 3, 500_000); err != nil {
		t.Fatal(err)
	}
	b, err := onInterface(name)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	taken := 0
	for err == nil {
		var n int
		n, err = b.WriteFrames(make([]canbus.Frame, 10))
		taken += n
	}
	if taken < 3 || !errors.Is(err, unix.ENOBUFS) || !errors.Is(err, canbus.ErrTemporary) {
		t.Errorf("%d frames taken, then %v; want a temporary ENOBUFS", taken, err)
	}
}

func TestKernelInterfaceGoesDown(t *testing.T) {
	cantest.Need(t)
	name := made(t)
	b, err := onInterface(name)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	read := make(chan error)
	go func() {
		read <- readOne(b)
	}()
	if err := cantest.SetLink(name, false); err != nil {
		t.Fatal(err)
	}
	if err := <-read; !errors.Is(err, unix.ENETDOWN) || !errors.Is(err, canbus.ErrTemporary) {
		t.Errorf("ReadFrames: %v, want a temporary ENETDOWN", err)
	}
	if n, err := b.WriteFrames(make([]canbus.Frame, 1)); n != 0 || !errors.Is(err, unix.ENETDOWN) || errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteFrames: %d, %v, want ENETDOWN", n, err)
	}
	if err := cantest.SetLink(name, true); err != nil {
		t.Fatal(err)
	}
	other, err := onInterface(name)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	f := canbus.Frame{ID: 0x7E8, Len: 1, Data: [64]byte{1}}
	for _, way := range [][2]*Bus{{b, other}, {other, b}} {
		write(t, way[0], f)
		if got := next(t, way[1]); got != f {
			t.Errorf("up again: %v arrives, want %v", got, f)
		}
	}
}

func TestKernelInterfaceIsDeleted(t *testing.T) {
	cantest.Need(t)
	name := made(t)
	b, err := onInterface(name)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	read := make(chan error)
	go func() {
		err := readOne(b)
		for errors.Is(err, canbus.ErrTemporary) { // it goes down first
			err = readOne(b)
		}
		read <- err
	}()
	if err := cantest.DeleteLink(name); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{<-read, writeOne(b)} {
		if lost, ok := errors.AsType[*canbus.GoneError](err); !ok || !errors.Is(lost.Err, unix.ENODEV) && !errors.Is(lost.Err, unix.ENXIO) {
			t.Errorf("%v, want a GoneError by ENODEV or ENXIO", err)
		}
	}
}

func readOne(b *Bus) error {
	_, err := b.ReadFrames(make([]canbus.Frame, 1))
	return err
}

func writeOne(b *Bus) error {
	_, err := b.WriteFrames(make([]canbus.Frame, 1))
	return err
}
