package pacer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestFakeClock(t *testing.T) {
	if fakeClock() {
		t.Error("the system's clock is taken for a fake one")
	}
	synctest.Test(t, func(t *testing.T) {
		if !fakeClock() {
			t.Error("a bubble's clock is taken for the system's")
		}
	})
}

// timerfds returns how many timerfds the process has open.
func timerfds(t *testing.T) int {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		if name, _ := os.Readlink(fd); name == "anon_inode:[timerfd]" {
			n++
		}
	}
	return n
}

func TestOneDescriptorFromSetToClose(t *testing.T) {
	fired := make(chan struct{})
	p := New(func() { fired <- struct{}{} })
	before := timerfds(t)
	for range 3 {
		p.Set(time.Now())
		<-fired
	}
	p.Set(time.Now().Add(time.Hour))
	if n := timerfds(t) - before; n != 1 {
		t.Errorf("%d timerfds after Set, want 1", n)
	}
	p.Close()
	if n := timerfds(t) - before; n != 0 {
		t.Errorf("%d timerfds after Close, want none", n)
	}
}

func TestNoDescriptorInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := timerfds(t)
		p := New(func() {})
		defer p.Close()
		p.Set(time.Now().Add(time.Hour))
		if n := timerfds(t) - before; n != 0 {
			t.Errorf("%d timerfds, want none", n)
		}
	})
}

func TestFiresWithoutDescriptors(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	if _, err := newTimerfd(func() bool { return true }); !errors.Is(err, unix.EMFILE) {
		t.Fatalf("newTimerfd: %v, want EMFILE", err)
	}

	fired := make(chan time.Time)
	p := New(func() { fired <- time.Now() })
	defer p.Close()
	at := time.Now().Add(time.Millisecond)
	p.SetSpin(at)
	if early := at.Sub(<-fired); early > 0 {
		t.Errorf("fired %v early", early)
	}
}
