//go:build linux

package main

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/isotp/test/vm/cantest"
	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

func wantLink(t *testing.T, want string, args ...string) {
	t.Helper()
	r := isotp(t.Context(), nil, append([]string{"link"}, args...)...)
	r.want(t, exitOK, "")
	if !strings.Contains(r.stdout, want) {
		t.Errorf("link %s: no %q in\n%s", strings.Join(args, " "), want, r.stdout)
	}
}

func wantLinkError(t *testing.T, status int, want string, args ...string) {
	t.Helper()
	isotp(t.Context(), nil, append([]string{"link"}, args...)...).want(t, status, want)
}

func TestKernelLinkSetsAVirtualInterfaceUpAndDown(t *testing.T) {
	cantest.Need(t)
	if err := cantest.AddLink("made1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cantest.DeleteLink("made1") })
	const up, down = "\nmade1      vcan  -       up     CAN FD  -\n", "\nmade1      vcan  -       down   CAN FD  -\n"
	wantLink(t, up, "up", "made1")
	wantLink(t, up, "up", "made1")
	wantLink(t, down, "down", "made1")
	wantLink(t, down, "down", "made1")
	wantLink(t, up, "up", "made1")
	wantLinkError(t, exitUsage, "made1 is a virtual interface (vcan), which has no controller", "up", "made1", "--bitrate", "500000")
	wantLinkError(t, exitUsage, "made1 is a virtual interface (vcan), which has no controller", "up", "made1", "--listen-only")
}

func TestKernelLinkOfWhatIsNotCAN(t *testing.T) {
	cantest.Need(t)
	wantLinkError(t, exitUsage, "not a CAN interface", "up", "lo", "--bitrate", "500000")
	wantLinkError(t, exitUsage, "not a CAN interface", "down", "lo")
}

// Without its capabilities this thread has only the rights of an ordinary user.
func TestKernelLinkNeedsRoot(t *testing.T) {
	cantest.Need(t)
	if err := cantest.AddLink("made2"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cantest.DeleteLink("made2") })
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var was [2]unix.CapUserData
	if err := unix.Capget(&h, &was[0]); err != nil {
		t.Fatal(err)
	}
	is := was
	is[0].Effective, is[1].Effective = 0, 0
	if err := unix.Capset(&h, &is[0]); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Capset(&h, &was[0]); err != nil {
			t.Fatal(err)
		}
	}()
	wantLinkError(t, exitFailure, "it needs root, or CAP_NET_ADMIN", "up", "made2")
	wantLinkError(t, exitFailure, "it needs root, or CAP_NET_ADMIN", "down", "made2")
}

// An adapter is the serial line of a CAN interface that the kernel's slcan has made:
// the one with a controller that a machine without hardware can have.
type adapter struct {
	line *os.File
	mu   sync.Mutex
	news sync.Cond
	said string
}

// newAdapter makes the interface can0.
func newAdapter(t *testing.T) *adapter {
	t.Helper()
	line, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := term.MakeRaw(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	const slcan = 17 // N_SLCAN
	if err := unix.IoctlSetPointerInt(int(tty.Fd()), unix.TIOCSETD, slcan); err != nil {
		if !cantest.InMachine() {
			t.Skip("outside of a machine of test/vm that takes more than a namespace: ", err)
		}
		t.Fatal("no interface of a serial line: ", err)
	}
	a := &adapter{line: line}
	a.news.L = &a.mu
	var ended sync.WaitGroup
	ended.Go(func() {
		buf := make([]byte, 100)
		for {
			n, err := line.Read(buf)
			a.mu.Lock()
			a.said += string(buf[:n])
			a.news.Broadcast()
			a.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		tty.Close() // the interface goes, and Read fails
		ended.Wait()
		line.Close()
	})
	return a
}

// hears waits for what the kernel tells the adapter, and forgets it.
func (a *adapter) hears(t *testing.T, want string) {
	t.Helper()
	hung := time.AfterFunc(time.Minute, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.said += " and nothing for a minute"
		a.news.Broadcast()
	})
	defer hung.Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.said) < len(want) {
		a.news.Wait()
	}
	if a.said != want {
		t.Errorf("the adapter hears %q, want %q", a.said, want)
	}
	a.said = ""
}

func TestKernelLinkSetsABitrate(t *testing.T) {
	cantest.Need(t)
	a := newAdapter(t)
	wantLink(t, "\ncan0       can   -       up     classic  500000\n", "up", "can0", "--bitrate", "500000")
	a.hears(t, "C\rS6\rO\r")
	wantLink(t, "\ncan0       can   -       up     classic  500000\n", "up", "can0")
	wantLinkError(t, exitUsage, "can0 is up already, with 500000 bit/s: isotp link down can0 first", "up", "can0", "--bitrate", "250000")
	wantLinkError(t, exitUsage, "can0 is up already, with 500000 bit/s: isotp link down can0 first", "up", "can0", "--listen-only")
	wantLink(t, "\ncan0       can   -       down   classic  500000\n", "down", "can0")
	a.hears(t, "C\r")
	wantLink(t, "\ncan0       can   -       up     classic  500000\n", "up", "can0")
	a.hears(t, "C\rS6\rO\r")
	wantLink(t, "can0", "down", "can0")
	a.hears(t, "C\r")
	wantLink(t, "\ncan0       can   -       up     classic  125000\n", "up", "can0", "--bitrate", "125000", "--listen-only")
	a.hears(t, "C\rS4\rL\r")
	wantLink(t, "can0", "down", "can0")
	a.hears(t, "C\r")
	wantLink(t, "\ncan0       can   -       up     classic  125000\n", "up", "can0") // and no longer listen only
	a.hears(t, "C\rS4\rO\r")
}

func TestKernelLinkTellsWhatAControllerCannot(t *testing.T) {
	cantest.Need(t)
	newAdapter(t)
	wantLinkError(t, exitUsage, "the controller cannot have 123456 bit/s", "up", "can0", "--bitrate", "123456")
	wantLinkError(t, exitUsage, "--listen-only: can0 has no bit rate yet, so it needs --bitrate", "up", "can0", "--listen-only")
}
