package account

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/lifetime"
)

const bitrate = 500_000

func newAccount() *Account { return New(lifetime.New(func() {}), "test: bus", bitrate, 0) }

// frame is the n-th of frames that are all different.
func frame(n int) *canbus.Frame {
	return &canbus.Frame{ID: 0x123, Len: 2, Data: [64]byte{byte(n), byte(n >> 8)}}
}

func (a *Account) write(from, to int) {
	for n := from; n < to; n++ {
		a.Write(frame(n))
	}
}

// read returns what there is to read now, as numbers; those of refused frames are negative.
func read(t *testing.T, a *Account) (list []int) {
	t.Helper()
	frames := make([]canbus.Frame, 10)
	for a.unread.Len() > 0 {
		n, err := a.Read(frames)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range frames[:n] {
			number := int(f.Data[0]) | int(f.Data[1])<<8
			if f.Has(canbus.Refused) {
				number = -number
			}
			list = append(list, number)
		}
	}
	return list
}

func wantNumbers(t *testing.T, got []int, want ...int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("read %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("read %v, want %v", got, want)
		}
	}
}

func TestAnEchoBringsItsFrameBack(t *testing.T) {
	a := newAccount()
	f := &canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended | canbus.FD | canbus.BRS, Len: 12, Channel: 4}
	a.Write(f)
	f.Data[0] = 9 // the caller's, who may use it again
	echo := canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended | canbus.FD, Len: 12}
	echo.Stamp(77)
	a.Echo(&echo)
	got := make([]canbus.Frame, 2)
	if n, err := a.Read(got); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	want := canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended | canbus.FD | canbus.BRS | canbus.Echo | canbus.Timed, Len: 12, Timestamp: 77}
	if got[0] != want {
		t.Errorf("read %+v, want %+v", got[0], want)
	}
	if n := a.InDoubt(); n != 0 {
		t.Errorf("%d frames are still in doubt", n)
	}
}

func TestAFrameThatWasPassedOverIsRefused(t *testing.T) {
	a := newAccount()
	a.write(1, 6)
	a.Echo(frame(1))
	a.Echo(frame(4))
	wantNumbers(t, read(t, a), 1, -2, -3, 4)
	if n := a.InDoubt(); n != 1 {
		t.Errorf("%d frames are in doubt, want 1", n)
	}
}

func TestAnEchoThatAnOverrunMayHaveTakenIsNotMissed(t *testing.T) {
	a := newAccount()
	a.write(1, 4)
	a.Overrun(2)
	a.write(4, 7)
	a.Echo(frame(6))
	wantNumbers(t, read(t, a), 1, 2, 3, -4, -5, 6)
	if n := a.Dropped(); n != 2 {
		t.Errorf("%d frames were dropped, want 2", n)
	}
}

func TestAnEchoOfNoFrameIsIgnored(t *testing.T) {
	a := newAccount()
	a.write(1, 3)
	if n := a.RefuseAll(); n != 2 {
		t.Errorf("%d frames refused, want 2", n)
	}
	a.write(3, 4)
	a.Echo(frame(2))
	a.Echo(frame(3))
	wantNumbers(t, read(t, a), -1, -2, 3)
}

func TestEchoesThatWereLostCanBeMadeUpFor(t *testing.T) {
	a := newAccount()
	a.write(1, 4)
	if n := a.EchoAll(); n != 3 {
		t.Errorf("%d echoes, want 3", n)
	}
	wantNumbers(t, read(t, a), 1, 2, 3)
}

func TestTheEchoOfARemoteFrameHasNoData(t *testing.T) {
	a := newAccount()
	f := canbus.Frame{ID: 5, Flags: canbus.Remote, Len: 8, Data: [64]byte{1, 2, 3}}
	a.Write(&f)
	a.Echo(&canbus.Frame{ID: 5, Flags: canbus.Remote, Len: 8})
	if n := a.InDoubt(); n != 0 {
		t.Error("its echo is not recognised")
	}
}

func TestAFrameWithAnEchoIsNotTakenBack(t *testing.T) {
	a := newAccount()
	a.write(1, 2)
	a.Echo(frame(1))
	if a.TakeBack() {
		t.Error("it is")
	}
	wantNumbers(t, read(t, a), 1)
}

func TestAFrameTakenBackHasNoEcho(t *testing.T) {
	a := newAccount()
	a.write(1, 3)
	a.Overrun(1)
	a.TakeBack()
	a.write(3, 5)
	a.Echo(frame(4))
	wantNumbers(t, read(t, a), 1, -3, 4)
}

func TestThereIsRoomForSoManyInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount()
		if admitted, _, err := a.Admit(make([]canbus.Frame, 2*MaxInFlight), nil); len(admitted) != MaxInFlight || err != nil {
			t.Fatalf("room for %d, %v", len(admitted), err)
		}
		a.write(0, MaxInFlight)
		time.AfterFunc(time.Second, func() { a.Echo(frame(0)) })
		start := time.Now()
		if admitted, _, err := a.Admit(make([]canbus.Frame, 2*MaxInFlight), nil); len(admitted) != 1 || err != nil || time.Since(start) != time.Second {
			t.Errorf("room for %d, %v, after %v", len(admitted), err, time.Since(start))
		}
	})
}

// Echoes are not dropped: while nothing reads them, no more frames can be written.
func TestEchoesThatAreNotReadTakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount()
		for n := range maxUnread {
			a.Write(frame(n))
			a.Echo(frame(n))
		}
		time.AfterFunc(time.Second, func() { a.Read(make([]canbus.Frame, 3)) })
		start := time.Now()
		if admitted, _, err := a.Admit(make([]canbus.Frame, 2*MaxInFlight), nil); len(admitted) != 3 || err != nil || time.Since(start) != time.Second {
			t.Errorf("room for %d, %v, after %v", len(admitted), err, time.Since(start))
		}
		a.Push(frame(1))
		if n := a.Dropped(); n != 0 {
			t.Errorf("%d frames are dropped where only echoes wait", n)
		}
	})
}

func TestAdmitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount()
		a.write(0, MaxInFlight)
		time.AfterFunc(time.Second, func() { a.life.CloseAfter(func() error { return a.Flush(t.Context()) }) })
		if _, _, err := a.Admit(make([]canbus.Frame, 2*MaxInFlight), nil); err != net.ErrClosed || a.life.Err() != nil {
			t.Errorf("when the bus is closed: %v", err)
		}
		<-a.life.Over()
	})
}

// Without echoes frames take the time of the wire, and Flush waits for that.
func TestABusWithoutEchoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount()
		a.Pace()
		start, wire := time.Now(), time.Duration(0)
		for n := range 200 {
			f := []canbus.Frame{*frame(n)}
			if admitted, _, err := a.Admit(f, nil); len(admitted) != 1 || err != nil {
				t.Fatalf("%d frames admitted, %v", len(admitted), err)
			}
			a.Write(&f[0])
			wire += canbus.WireTime(&f[0], bitrate, 0)
		}
		if !a.TakeBack() || a.InDoubt() != 0 {
			t.Errorf("%d frames in flight", a.InDoubt())
		}
		if err := a.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d < wire || d > wire+flushMore {
			t.Errorf("it takes %v, and the wire %v", d, wire)
		}
	})
}

func TestFramesBeyondWhatIsReadAreCounted(t *testing.T) {
	a := newAccount()
	a.Write(frame(1))
	a.Echo(frame(1))
	for n := range maxUnread + 5 {
		a.Push(frame(n))
	}
	if n := a.Dropped(); n != 5 {
		t.Errorf("%d frames were dropped, want 5", n)
	}
	if n := len(read(t, a)); n != maxUnread+1 {
		t.Errorf("%d frames were read", n)
	}
}

func TestReadReturnsWhatCameBeforeTheEnd(t *testing.T) {
	a := newAccount()
	a.Push(frame(1))
	gone := errors.New("gone")
	a.life.Fail(gone)
	wantNumbers(t, read(t, a), 1)
	if n, err := a.Read(make([]canbus.Frame, 1)); n != 0 || err != gone {
		t.Errorf("then %d, %v", n, err)
	}
}

func TestFlushWaitsForTheFramesBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount()
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.write(1, 4)
		start := time.Now()
		for n := 1; n < 4; n++ { // slow: another node sends, too
			time.AfterFunc(time.Duration(n)*900*time.Millisecond, func() { a.Echo(frame(n)) })
		}
		time.AfterFunc(time.Second, func() { a.write(4, 5) })
		if err := a.Flush(t.Context()); err != nil || time.Since(start) != 2700*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestFlushGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount()
		a.write(1, 4)
		start := time.Now()
		want := patience + 3*canbus.WireTime(frame(1), bitrate, 0)
		err := a.Flush(t.Context())
		if doubt, ok := errors.AsType[*DoubtError](err); !ok || doubt.Frames != 3 || (time.Since(start)-want).Abs() > 50*time.Microsecond {
			t.Errorf("%v after %v, want 3 frames in doubt after %v", err, time.Since(start), want)
		}
		// Close flushes once more, and does not wait for what has not moved since.
		start = time.Now()
		if err := a.Flush(t.Context()); err == nil || time.Since(start) != 0 {
			t.Errorf("the next one: %v after %v", err, time.Since(start))
		}
	})
}

func TestFlushEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount()
		a.write(1, 4)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := a.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with its context: %v", err)
		}
		time.AfterFunc(time.Millisecond, a.life.Close)
		if err := a.Flush(t.Context()); err != net.ErrClosed {
			t.Errorf("with the bus: %v", err)
		}
	})
}

func TestAFrameAllocatesNothing(t *testing.T) {
	a := newAccount()
	frames, f := make([]canbus.Frame, 2), frame(1)
	round := func() {
		a.Write(f)
		a.Echo(f)
		a.Push(f)
		a.Read(frames)
	}
	round()
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
