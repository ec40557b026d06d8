package socketcan_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/socketcan"
	"example.com/isotp/test/vm/cantest"
	"golang.org/x/sys/unix"
)

func TestAnInterfaceMayGoDownAndUp(t *testing.T) {
	name := fresh(t)
	a, b := open(t, name), open(t, name)
	must(t, cantest.SetLink(name, false))
	for _, bus := range []*socketcan.Bus{a, b} {
		if _, err := bus.ReadFrames(make([]canbus.Frame, 1)); !errors.Is(err, unix.ENETDOWN) || !errors.Is(err, canbus.ErrTemporary) {
			t.Errorf("ReadFrames: %v, want a temporary ENETDOWN", err)
		}
	}
	if n, err := a.WriteFrames(kinds); n != 0 || !errors.Is(err, unix.ENETDOWN) || errors.Is(err, canbus.ErrTemporary) {
		t.Errorf("WriteFrames = %d, %v; want ENETDOWN", n, err)
	}
	must(t, cantest.SetLink(name, true))
	write(t, a, kinds...)
	equal(t, read(t, b, len(kinds), true), kinds)
}

func TestReadFramesIsToldThatTheInterfaceGoesDown(t *testing.T) {
	name := fresh(t)
	b := open(t, name)
	result := make(chan error)
	go func() {
		_, err := b.ReadFrames(make([]canbus.Frame, 1))
		result <- err
	}()
	runtime.Gosched()
	must(t, cantest.SetLink(name, false))
	if err := <-result; !errors.Is(err, unix.ENETDOWN) || !errors.Is(err, canbus.ErrTemporary) {
		t.Errorf("ReadFrames: %v, want a temporary ENETDOWN", err)
	}
}

// untilFinal reads until the bus is of no more use.
func untilFinal(b canbus.Bus) error {
	buf := make([]canbus.Frame, 1)
	for {
		if _, err := b.ReadFrames(buf); err != nil && !errors.Is(err, canbus.ErrTemporary) {
			return err
		}
	}
}

func TestADeletedInterfaceEndsTheBus(t *testing.T) {
	name := fresh(t)
	b := open(t, name)
	result := make(chan error)
	go func() { result <- untilFinal(b) }()
	runtime.Gosched()
	must(t, cantest.DeleteLink(name))
	if err := <-result; !errors.Is(err, unix.ENODEV) {
		t.Errorf("ReadFrames: %v, want ENODEV", err)
	}
	if err := untilFinal(b); !errors.Is(err, unix.ENODEV) {
		t.Errorf("ReadFrames again: %v, want ENODEV", err)
	}
	if n, err := b.WriteFrames(kinds); n != 0 || !errors.Is(err, unix.ENODEV) {
		t.Errorf("WriteFrames = %d, %v; want ENODEV", n, err)
	}
	must(t, b.Close())
}

// The socket has one error to tell. If the writer gets it the reader must not wait
// for ever.
func TestTheWriterTellsTheReaderThatTheInterfaceIsDeleted(t *testing.T) {
	for range 5 {
		name := fresh(t)
		b := open(t, name)
		must(t, cantest.DeleteLink(name))
		for {
			if _, err := b.WriteFrames(kinds); errors.Is(err, unix.ENODEV) {
				break
			}
		}
		if err := untilFinal(b); !errors.Is(err, unix.ENODEV) {
			t.Errorf("ReadFrames: %v, want ENODEV", err)
		}
	}
}

func TestANewInterfaceOfTheSameNameNeedsANewBus(t *testing.T) {
	name := fresh(t)
	old := open(t, name)
	must(t, cantest.DeleteLink(name))
	must(t, cantest.AddLink(name))
	must(t, cantest.SetLink(name, true))
	if err := untilFinal(old); !errors.Is(err, unix.ENODEV) {
		t.Errorf("ReadFrames: %v, want ENODEV", err)
	}
	a, b := open(t, name), open(t, name)
	write(t, a, kinds...)
	equal(t, read(t, b, len(kinds), true), kinds)
}

// A queue of 10 frames, each of which waits for 2 ms, as a slow bus has it.
func TestAFullQueueLosesNothing(t *testing.T) {
	name := fresh(t)
	must(t, cantest.SetQueue(name, 10, 2000))
	a, b := open(t, name), open(t, name)
	sent := numbered(300)
	full := 0
	for rest := sent; len(rest) > 0; {
		n, err := a.TryWriteFrames(rest)
		must(t, err)
		rest = rest[n:]
		if n == 0 {
			full++
			n, err := a.WriteFrames(rest)
			if err != nil && !errors.Is(err, canbus.ErrTemporary) {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
	}
	if full == 0 {
		t.Error("the queue was never full")
	}
	equal(t, read(t, b, len(sent), true), sent)
	equal(t, read(t, a, len(sent), true), sent)
}

func TestAQueueThatStaysFullIsATemporaryError(t *testing.T) {
	name := fresh(t)
	must(t, cantest.SetQueue(name, 10, 1e9))
	b := open(t, name)
	for written := 0; ; {
		n, err := b.WriteFrames(kinds)
		written += n
		if err == nil {
			if written > 20 {
				t.Fatalf("%d frames in a queue of 10", written)
			}
			continue
		}
		if n != 0 || !errors.Is(err, unix.ENOBUFS) || !errors.Is(err, canbus.ErrTemporary) {
			t.Errorf("WriteFrames = %d, %v; want a temporary ENOBUFS", n, err)
		}
		break
	}
	if n, err := b.TryWriteFrames(kinds); n != 0 || err != nil {
		t.Errorf("TryWriteFrames = %d, %v; want 0, nil", n, err)
	}
	must(t, cantest.ResetQueue(name))
	write(t, b, frame(0x123)) // and now there is room
}

func TestLostFramesAreCounted(t *testing.T) {
	a, b := open(t, "vcan0"), open(t, "vcan0")
	must(t, a.SetFilters(nil))
	const n = 20000
	for range n / 50 {
		write(t, a, numbered(50)...)
		read(t, a, 50, true) // the echoes
	}
	lost := b.Dropped()
	if lost == 0 || lost >= n {
		t.Fatalf("%d of %d frames were lost while no caller read", lost, n)
	}
	read(t, b, n-int(lost), true)
	if err := b.SetFilters([]canbus.Filter{{ID: 0x700, Mask: canbus.MaxStandardID}}); err != nil {
		t.Fatal(err)
	}
	write(t, a, frame(0x700, 1))
	equal(t, read(t, b, 1, true), []canbus.Frame{frame(0x700, 1)})
	if again := b.Dropped(); again != lost {
		t.Errorf("%d frames lost, then %d", lost, again)
	}
}

// A reader that was stopped learns how many frames it has missed, those behind the last
// one that it reads too: after that there is nothing that could tell.
func TestReaderThatWasStoppedMissesNothingUncounted(t *testing.T) {
	for _, size := range []int{1, 100} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			a, b := open(t, "vcan0"), open(t, "vcan0")
			must(t, a.SetFilters(nil))
			const count = 20000
			for range count / 50 {
				write(t, a, numbered(50)...)
				read(t, a, 50, true) // the echoes
			}
			buf := make([]canbus.Frame, size)
			for read, dropped := 0, uint64(0); read+int(dropped) < count; {
				n, err := b.ReadFrames(buf)
				must(t, err)
				read += n
				before := dropped
				if dropped = b.Dropped(); dropped < before || read+int(dropped) > count {
					t.Fatalf("%d frames sent, %d read, %d dropped and before %d", count, read, dropped, before)
				}
			}
		})
	}
}

// Each network namespace has interfaces of its own.
func TestAnInterfaceIsThatOfTheCallersNamespace(t *testing.T) {
	cantest.Need(t)
	const name = "vcanns"
	type result struct {
		a, b *socketcan.Bus
		err  error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread is of no more use
		var r result
		r.err = errors.Join(unix.Unshare(unix.CLONE_NEWNET), cantest.AddLink(name), cantest.SetLink(name, true))
		if r.err == nil {
			r.a, r.err = socketcan.Open(name)
		}
		if r.err == nil {
			r.b, r.err = socketcan.Open(name)
		}
		made <- r
	}()
	r := <-made
	must(t, r.err)
	defer r.a.Close()
	defer r.b.Close()
	if b, err := socketcan.Open(name); !errors.Is(err, unix.ENODEV) {
		t.Errorf("in the first namespace: Open = %v, %v", b, err)
	}
	// A Bus may be used from any thread.
	write(t, r.a, kinds...)
	equal(t, read(t, r.b, len(kinds), true), kinds)
}
