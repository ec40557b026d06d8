package pcan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/canbus/internal/account"
	"example.com/isotp/canbus/internal/errorframe"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/conntest"
)

var (
	classic = Options{Bitrate: 1_000_000}
	fd      = Options{Bitrate: 1_000_000, DataBitrate: 5_000_000}
)

// pair makes two buses on channels of one fake, on a wire of that bit rate.
func pair(o Options, wire int, lacks ...parameter) bustest.MakePair {
	return func() (a, b canbus.Bus, stop func(), err error) {
		f := newFake(2, wire)
		var buses [2]*Bus
		for i := range buses {
			f.channel(i + 1).lacks = lacks
			if buses[i], err = openFake(f, i+1, o); err != nil {
				return nil, nil, nil, err
			}
		}
		return buses[0], buses[1], nil, nil
	}
}

func TestBusConforms(t *testing.T) {
	for name, newPair := range map[string]bustest.MakePair{
		"Classic":        pair(classic, 0),
		"FD":             pair(fd, 0),
		"WithoutEchoes":  pair(classic, 0, paramEchoFrames),
		"WithoutAnyMore": pair(fd, 0, paramEchoFrames, paramErrorFrames, paramStatusFrames),
	} {
		t.Run(name, func(t *testing.T) {
			bustest.TestBus(t, newPair, bustest.Options{
				Report: func(a canbus.Bus) error {
					b := a.(*Bus)
					b.lib.(*fake).channels[b.handle].tell(messageFD{id: errorStuff, kind: kindError, dlc: 4}, statusOK)
					return nil
				},
			})
		})
	}
}

// The wire takes no time, so the buses must not promise a bit rate: connections would take what
// comes too soon for late.
func TestConnIsANetConn(t *testing.T) {
	conntest.Run(t, func() (canbus.Bus, canbus.Bus, func(), error) {
		a, b, stop, err := pair(fd, 0)()
		for _, bus := range []canbus.Bus{a, b} {
			bus.(*Bus).props.WireRate = false
		}
		return a, b, stop, err
	}, isotpnet.Config{FD: true})
}

// bus opens USB1 of a fake with two channels.
func bus(t *testing.T, o Options, lacks ...parameter) (*Bus, *fakeChannel) {
	t.Helper()
	f := newFake(2, 0)
	f.channel(1).lacks = lacks
	return busOf(t, f, o), f.channel(1)
}

// busOf opens USB1 of a library.
func busOf(t *testing.T, l library, o Options) *Bus {
	t.Helper()
	b, err := openFake(l, 1, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func frame(n int) canbus.Frame {
	return canbus.Frame{ID: 0x123, Len: 2, Data: [64]byte{byte(n), byte(n >> 8)}}
}

func frames(n int) []canbus.Frame {
	list := make([]canbus.Frame, n)
	for i := range list {
		list[i] = frame(i)
	}
	return list
}

func write(t *testing.T, b *Bus, list ...canbus.Frame) {
	t.Helper()
	for len(list) > 0 {
		n, err := b.WriteFrames(list)
		if err != nil {
			t.Fatal(err)
		}
		list = list[n:]
	}
}

// read reads n frames, without their times.
func read(t *testing.T, b *Bus, n int) (list []canbus.Frame) {
	t.Helper()
	buf := make([]canbus.Frame, 1)
	for len(list) < n {
		if _, err := b.ReadFrames(buf); err != nil {
			t.Fatalf("after %d frames: %v", len(list), err)
		}
		f := buf[0]
		f.Flags &^= canbus.Timed
		f.Timestamp = 0
		list = append(list, f)
	}
	return list
}

func wantFrames(t *testing.T, got []canbus.Frame, want ...canbus.Frame) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

func TestChannelsAreOpenedAsTheOptionsSay(t *testing.T) {
	for _, c := range []struct {
		name      string
		options   Options
		lacks     []parameter
		registers uint16
		timing    string
		want      canbus.Properties
	}{
		{"classic", Options{Bitrate: 500_000}, nil, 0x001C, "",
			canbus.Properties{Echo: true, QueueLen: 64, Bitrate: 500_000, WireRate: true}},
		{"by registers", Options{Registers: 0x0314}, nil, 0x0314, "",
			canbus.Properties{Echo: true, QueueLen: 64, Bitrate: 250_000, WireRate: true}},
		{"FD", Options{Bitrate: 500_000, DataBitrate: 2_000_000}, nil, 0,
			"f_clock=80000000,nom_brp=1,nom_tseg1=127,nom_tseg2=32,nom_sjw=32,data_brp=1,data_tseg1=31,data_tseg2=8,data_sjw=8",
			canbus.Properties{FD: true, Echo: true, QueueLen: 64, Bitrate: 500_000, DataBitrate: 2_000_000, WireRate: true}},
		{"listening", Options{Bitrate: 500_000, ListenOnly: true}, nil, 0x001C, "",
			canbus.Properties{QueueLen: 64, Bitrate: 500_000, WireRate: true}},
		{"hardware without echoes", Options{Bitrate: 500_000}, []parameter{paramEchoFrames}, 0x001C, "",
			canbus.Properties{QueueLen: 64, Bitrate: 500_000, WireRate: true}},
		{"no echoes wanted", Options{Bitrate: 500_000, NoEcho: true}, nil, 0x001C, "",
			canbus.Properties{QueueLen: 64, Bitrate: 500_000, WireRate: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, channel := bus(t, c.options, c.lacks...)
			if p := b.Properties(); p != c.want {
				t.Errorf("properties %+v, want %+v", p, c.want)
			}
			channel.change(func() {
				if channel.registers != c.registers || channel.timing != c.timing {
					t.Errorf("opened with %#04x, %q", channel.registers, channel.timing)
				}
				if on := channel.params[paramListenOnly] == 1; on != c.options.ListenOnly {
					t.Errorf("listen only is %v", on)
				}
				if channel.params[paramBusOffReset] != 1 || channel.params[paramErrorFrames] != 1 || channel.params[paramStatusFrames] != 1 {
					t.Errorf("parameters %v", channel.params)
				}
			})
		})
	}
}

func TestAChannelThatCannotBeOpened(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(f *fake, c *fakeChannel)
		want    string
	}{
		{"unplugged", func(f *fake, c *fakeChannel) { c.gone = true }, "no such hardware"},
		{"in use", func(f *fake, c *fakeChannel) { c.opens = statusHwInUse }, "does another program use it,"},
		{"no driver", func(f *fake, c *fakeChannel) { c.opens = 0x200 }, "driver is not loaded"},
		{"a status that is new", func(f *fake, c *fakeChannel) { c.opens = 0x40000000 }, "40000000h"},
		{"it has no event", func(f *fake, c *fakeChannel) { c.lacks = []parameter{paramReceiveEvent} }, "parameter is not supported"},
		{"it cannot listen", func(f *fake, c *fakeChannel) { c.lacks = []parameter{paramListenOnly} }, "cannot only listen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(1, 0)
			c.prepare(f, f.channel(1))
			b, err := openFake(f, 1, Options{Bitrate: 500_000, ListenOnly: c.name == "it cannot listen"})
			if err == nil {
				b.Close()
				t.Fatal("it is opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %q, want %q in it", err, c.want)
			}
			if f.channel(1).initialised {
				t.Error("the channel stays open")
			}
		})
	}
}

func TestAChannelThatAnotherProgramSetUpIsOpened(t *testing.T) {
	f := newFake(1, 0)
	f.channel(1).opens = statusCaution
	b, err := openFake(f, 1, classic)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}

func TestAClosedChannelCanBeOpenedAgain(t *testing.T) {
	f := newFake(1, 0)
	for range 3 {
		b, err := openFake(f, 1, classic)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openFake(f, 1, classic); err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("opened twice: %v", err)
		}
		b.Close()
	}
}

func TestFramesAreTimedByTheAdapter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := bus(t, classic)
		start := time.Now()
		time.Sleep(time.Hour)
		c.tell(messageFD{id: 1, dlc: 1}, statusOK)
		synctest.Wait()
		c.change(func() { c.event = nil }) // the next ones are heard late
		time.Sleep(10 * time.Millisecond)
		c.tell(messageFD{id: 2, dlc: 1}, statusOK)
		time.Sleep(statusTime)
		c.tell(messageFD{id: 3, dlc: 1}, statusOK)
		buf := make([]canbus.Frame, 1)
		for _, want := range []time.Duration{0, 10 * time.Millisecond, 10*time.Millisecond + statusTime} {
			b.ReadFrames(buf)
			if d := buf[0].Time().Sub(start); d != time.Hour+want {
				t.Errorf("frame %v came after %v, want %v after an hour", buf[0], d, want)
			}
		}
	})
}

func TestATimestampOfClassicCAN(t *testing.T) {
	got := timestamp{millis: 5, millisOverflow: 2, micros: 678}.duration()
	if want := 2<<32*time.Millisecond + 5*time.Millisecond + 678*time.Microsecond; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestAdapterThatIsPulledOut(t *testing.T) {
	for _, how := range []string{"Reading", "Writing"} {
		synctest.Test(t, func(t *testing.T) {
			b, c := bus(t, classic)
			c.change(func() { c.stalled = true })
			write(t, b, frames(3)...)
			c.change(func() { c.gone = true })
			var err error
			if how == "Reading" {
				_, err = b.ReadFrames(make([]canbus.Frame, 1)) // after statusTime: no event tells
			} else {
				_, err = b.WriteFrames(frames(1))
			}
			gone, ok := errors.AsType[*canbus.GoneError](err)
			if !ok || gone.InDoubt != 3 || !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "USB1 is gone: there is no such hardware") {
				t.Errorf("%s: %v", how, err)
			}
			for what, call := range map[string]func() error{
				"ReadFrames":  func() error { _, err := b.ReadFrames(make([]canbus.Frame, 1)); return err },
				"WriteFrames": func() error { _, err := b.WriteFrames(frames(1)); return err },
				"Flush":       func() error { return b.Flush(t.Context()) },
			} {
				if again := call(); again != err {
					t.Errorf("%s: %s, then: %v", how, what, again)
				}
			}
			<-b.ended // the channel is free, before Close too
			c.change(func() {
				if c.initialised {
					t.Errorf("%s: the channel is still open", how)
				}
			})
		})
	}
}

func TestBusOffIsToldAndTheBusComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := bus(t, fd)
		c.change(func() { c.stalled = true })
		write(t, b, frames(2)...)
		c.setBus(statusBusPassive | statusBusHeavy)
		c.setBus(statusBusOff)
		wantFrames(t, read(t, b, 4),
			errorframe.New(errorframe.Controller, errorframe.Passive), errorframe.New(errorframe.BusOff, 0), refused(frame(0)), refused(frame(1)))
		if _, err := b.WriteFrames(frames(1)); !errors.Is(err, canbus.ErrTemporary) || !strings.Contains(err.Error(), "bus-off") {
			t.Errorf("a write while it is off: %v", err)
		}
		c.change(func() { c.stalled = false })
		c.setBus(statusOK)
		wantFrames(t, read(t, b, 1), errorframe.New(errorframe.Restarted, 0))
		write(t, b, frame(7))
		wantFrames(t, read(t, b, 1), echoed(frame(7)))
		if err := b.Flush(t.Context()); err != nil {
			t.Errorf("flush: %v", err)
		}
	})
}

// Some versions of the library tell of a bus-off that they have mended already only by what
// CAN_Read returns.
func TestABusOffThatIsOverIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := bus(t, classic)
		c.tell(messageFD{}, statusBusOff)
		wantFrames(t, read(t, b, 2), errorframe.New(errorframe.BusOff, 0), errorframe.New(errorframe.Restarted, 0))
	})
}

// The library throws both its queues away when it is reset.
func TestFramesBehindABusOffAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := bus(t, classic)
		c.change(func() {
			c.receive(messageFD{kind: kindStatus, dlc: 4, data: [64]byte{3: byte(statusBusOff)}}, statusBusOff)
			c.receive(messageFD{id: 5}, statusOK)
		})
		wantFrames(t, read(t, b, 3), errorframe.New(errorframe.BusOff, 0), canbus.Frame{ID: 5}, errorframe.New(errorframe.Restarted, 0))
	})
}

func TestBusOffWithoutARecoveryEndsTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := bus(t, classic, paramBusOffReset)
		c.setBus(statusBusOff)
		read(t, b, 1)
		_, err := b.ReadFrames(make([]canbus.Frame, 1))
		if gone, ok := errors.AsType[*canbus.GoneError](err); !ok || gone.Advice == "" || !strings.Contains(err.Error(), "bus-off") {
			t.Errorf("the error is %v", err)
		}
	})
}

func echoed(f canbus.Frame) canbus.Frame { f.Flags |= canbus.Echo; return f }

func refused(f canbus.Frame) canbus.Frame { f.Flags |= canbus.Echo | canbus.Refused; return f }

func TestStatesOfTheController(t *testing.T) {
	for _, c := range []struct {
		options Options
		status  status
		want    busState
	}{
		{classic, statusOK, active},
		{classic, statusBusLight, warning},
		{classic, statusBusHeavy, passive},
		{classic, statusBusLight | statusBusHeavy | statusBusOff, busOff},
		{fd, statusBusHeavy, warning},
		{fd, statusBusHeavy | statusBusPassive, passive},
		{fd, statusBusOff | statusBusPassive, busOff},
		{fd, statusRcvEmpty | statusQueueOverrun, active},
	} {
		s, err := c.options.setting()
		if err != nil {
			t.Fatal(err)
		}
		if got := s.stateOf(c.status); got != c.want {
			t.Errorf("fd %v, %#x: %v, want %v", s.fd, uint32(c.status), got, c.want)
		}
	}
}

func TestErrorsOfTheProtocol(t *testing.T) {
	for _, c := range []struct {
		name string
		id   uint32
		data [4]byte
		want string
	}{
		{"stuffing, in receiving", errorStuff, [4]byte{1, 10, 5, 0}, "20000208#0000040A00000005"},
		{"a bit, in sending", errorBit, [4]byte{0, 8, 0, 16}, "20000208#0000810800001000"},
		{"form", errorForm, [4]byte{1, 24, 1, 2}, "20000208#0000021800000201"},
		{"no acknowledgement", errorOther, [4]byte{0, placeAck, 0, 128}, "20000220#0000000000008000"},
		{"another", errorOther, [4]byte{1, 8, 9, 0}, "20000208#0000000800000009"},
		{"counters alone", 0, [4]byte{0, 0, 3, 4}, "20000200#0000000000000403"},
	} {
		m := messageFD{id: c.id, kind: kindError, dlc: 4}
		copy(m.data[:], c.data[:])
		f := protocolError(&m)
		if got := fmt.Sprint(f); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAnOverrunIsCountedAndTold(t *testing.T) {
	for _, how := range []string{"CAN_Read", "CAN_GetStatus", "StatusMessage", "Both"} {
		synctest.Test(t, func(t *testing.T) {
			b, c := bus(t, classic)
			overrun := errorframe.New(errorframe.Controller, errorframe.ReceiveOverflow)
			switch how {
			case "CAN_Read":
				c.tell(messageFD{id: 5}, statusQueueOverrun)
				wantFrames(t, read(t, b, 2), overrun, canbus.Frame{ID: 5})
			case "CAN_GetStatus":
				c.change(func() { c.bus = statusOverrun })
				time.Sleep(3 * statusTime) // it is told more than once, and is one
				wantFrames(t, read(t, b, 1), overrun)
			case "StatusMessage":
				c.tell(messageFD{kind: kindStatus, dlc: 4, data: [64]byte{3: byte(statusOverrun)}}, statusOK)
				wantFrames(t, read(t, b, 1), overrun)
			case "Both":
				c.change(func() {
					c.bus = statusOverrun
					c.receive(messageFD{kind: kindStatus, dlc: 4, data: [64]byte{3: byte(statusOverrun)}}, statusOverrun)
					c.receive(messageFD{id: 5}, statusOK)
				})
				time.Sleep(3 * statusTime)
				wantFrames(t, read(t, b, 2), overrun, canbus.Frame{ID: 5})
			}
			if n := b.Dropped(); n != 1 {
				t.Errorf("%s: %d dropped", how, n)
			}
		})
	}
}

func TestAFloodIsReadInOrderOrCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := bus(t, classic)
		const count = 6000 // more than may be unread
		for n := range count {
			c.tell(messageFD{id: 0x123, dlc: 2, data: [64]byte{byte(n), byte(n >> 8)}}, statusOK)
		}
		synctest.Wait()
		dropped := int(b.Dropped())
		if dropped == 0 || dropped > count/2 {
			t.Errorf("%d of %d are dropped", dropped, count)
		}
		for n, f := range read(t, b, count-dropped) {
			if f != frame(n) {
				t.Fatalf("frame %d is %v", n, f)
			}
		}
	})
}

func TestAFullQueueIsTemporary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := bus(t, classic, paramEchoFrames) // with echoes it does not come to that
		c.change(func() { c.stalled = true })
		for _, f := range frames(queueLen) {
			write(t, b, f)
		}
		n, err := b.WriteFrames(frames(2))
		for n > 0 && err == nil {
			n, err = b.WriteFrames(frames(2))
		}
		if n != 0 || !errors.Is(err, canbus.ErrTemporary) || !strings.Contains(err.Error(), "full") {
			t.Fatalf("%d, %v", n, err)
		}
		c.change(func() { c.stalled = false })
		write(t, b, frame(1))
	})
}

func TestAFrameThatTheLibraryRefusesIsNotSent(t *testing.T) {
	b, c := bus(t, classic)
	c.change(func() { c.refuses = statusIllData })
	n, err := b.WriteFrames(frames(2))
	if n != 0 || err == nil || errors.Is(err, canbus.ErrTemporary) || errors.Is(err, net.ErrClosed) {
		t.Fatalf("%d, %v", n, err)
	}
	write(t, b, frame(5))
	wantFrames(t, read(t, b, 1), echoed(frame(5)))
}

// A contrary library says that its queue is full, and sends the frame.
type contrary struct{ *fake }

func (l contrary) write(handle uint16, m *message) status {
	l.fake.write(handle, m)
	synctest.Wait() // for the echo
	return statusQueueFull
}

func TestAFrameWithAnEchoWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := busOf(t, contrary{newFake(1, 0)}, classic)
		write(t, b, frames(2)...)
		wantFrames(t, read(t, b, 2), echoed(frame(0)), echoed(frame(1)))
	})
}

// Some versions of the library tell of the controller's state when there is no message.
func TestAStateIsNoFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1, 0)
		b := busOf(t, moody{f}, classic)
		for id := range uint32(2) {
			f.channel(1).tell(messageFD{id: 5 + id}, statusOK)
			wantFrames(t, read(t, b, 1), canbus.Frame{ID: 5 + id})
		}
	})
}

// A moody library tells of a state when there is no message.
type moody struct{ *fake }

func (l moody) read(handle uint16, m *message, at *timestamp) status {
	s := l.fake.read(handle, m, at)
	if s == statusRcvEmpty {
		return statusBusHeavy
	}
	return s
}

// The states of the bus that CAN_Write returns do not mean that it has not taken the frame.
func TestAFrameIsTakenOnABusWithErrors(t *testing.T) {
	b, c := bus(t, classic)
	c.change(func() { c.bus = statusBusHeavy })
	write(t, b, frame(5))
	for {
		if f := read(t, b, 1)[0]; !f.Has(canbus.ErrorFrame) {
			wantFrames(t, []canbus.Frame{f}, echoed(frame(5)))
			return
		}
	}
}

func TestWithoutAnAcknowledgementFlushTellsHowManyAreInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := bus(t, classic)
		c.change(func() { c.stalled = true })
		write(t, b, frames(10)...)
		start := time.Now()
		err := b.Flush(t.Context())
		if doubt, ok := errors.AsType[*account.DoubtError](err); !ok || doubt.Frames != 10 || !strings.Contains(err.Error(), "USB1") {
			t.Errorf("Flush: %v", err)
		}
		b.Close()
		if d := time.Since(start); d > 1100*time.Millisecond {
			t.Errorf("Flush and Close have taken %v", d)
		}
	})
}

func TestWithoutEchoesFlushTakesTheTimeOfTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := bus(t, classic, paramEchoFrames)
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		list := frames(100)
		var wire time.Duration
		for i := range list {
			wire += canbus.WireTime(&list[i], 1_000_000, 0)
		}
		start := time.Now()
		write(t, b, list...)
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < wire || d > wire+20*time.Millisecond {
			t.Errorf("writing and flushing took %v, the wire %v", d, wire)
		}
	})
}

func TestCloseWaitsForTheFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := bus(t, classic)
		c.change(func() { c.stalled = true })
		write(t, b, frames(10)...)
		time.AfterFunc(100*time.Millisecond, func() { c.change(func() { c.stalled = false }) })
		start := time.Now()
		b.Close()
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Errorf("Close returned after %v", d)
		}
	})
}

func TestFramesOfCANFDOnAClassicChannelAreCounted(t *testing.T) {
	f := newFake(2, 0)
	a, err := openFake(f, 1, fd)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := openFake(f, 2, classic)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	write(t, a, canbus.Frame{ID: 1, Flags: canbus.FD, Len: 12}, frame(3))
	wantFrames(t, read(t, b, 1), frame(3))
	if n := b.Malformed(); n != 1 {
		t.Errorf("%d are counted", n)
	}
}

func TestWhatIsNoFrameDoesNotPanic(t *testing.T) {
	b, c := bus(t, classic)
	for kind := range 256 {
		for _, dlc := range []uint8{0, 8, 9, 15, 16, 255} {
			c.tell(messageFD{id: 0xFFFFFFFF, kind: uint8(kind) &^ kindStatus, dlc: dlc}, statusOK)
		}
	}
	c.tell(messageFD{id: 0x7FF, dlc: 1}, statusOK)
	for {
		f := read(t, b, 1)[0]
		if err := f.Validate(); !f.Has(canbus.ErrorFrame) && err != nil {
			t.Fatalf("%+v: %v", f, err)
		}
		if f.ID == 0x7FF && f.Len == 1 {
			return
		}
	}
}

func TestListeningSendsNothing(t *testing.T) {
	b, c := bus(t, Options{Bitrate: 500_000, ListenOnly: true})
	if n, err := b.WriteFrames(frames(1)); n != 0 || err == nil || !strings.Contains(err.Error(), "listen only") {
		t.Errorf("%d, %v", n, err)
	}
	c.tell(messageFD{id: 5}, statusOK)
	wantFrames(t, read(t, b, 1), canbus.Frame{ID: 5})
}

// A loopback returns each frame as its echo, without the fake's allocations.
type loopback struct {
	*fake
	token chan struct{}
	out   chan messageFD
}

func (l *loopback) writeFD(_ uint16, m *messageFD) status {
	l.out <- *m
	signalEvent(l.token)
	return statusOK
}

func (l *loopback) readFD(_ uint16, m *messageFD, _ *uint64) status {
	select {
	case *m = <-l.out:
		m.kind |= kindEcho
		return statusOK
	default:
		return statusRcvEmpty
	}
}

func (l *loopback) listen(uint16) (event, error) { return l, nil }
func (l *loopback) wait(time.Duration)           { <-l.token }
func (l *loopback) wake()                        { signalEvent(l.token) }
func (l *loopback) close()                       {}

func TestAFrameAllocatesNothing(t *testing.T) {
	s, err := fd.setting()
	if err != nil {
		t.Fatal(err)
	}
	l := &loopback{newFake(1, 0), make(chan struct{}, 1), make(chan messageFD, 1)}
	b, err := open(l, families[0].handle(1), "USB1", s, &fd)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	list, buf := frames(1), make([]canbus.Frame, 1)
	if n := testing.AllocsPerRun(100, func() {
		b.WriteFrames(list)
		b.ReadFrames(buf)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestIdentity(t *testing.T) {
	one := canbus.Identity("pcan:USB1@500000,data=2000000,listen")
	for name, same := range map[string]bool{
		"pcan:PCAN_USBBUS1@500000,listen,data=2000000": true,
		"pcan:USB2@500000,data=2000000,listen":         false,
		"pcan:USB1@250000,data=2000000,listen":         false,
		"pcan:USB1@500000,data=2000000":                false,
	} {
		if got := canbus.Identity(name); (got == one) != same {
			t.Errorf("%s is %s, and the other one %s", name, got, one)
		}
	}
}

func TestOpenByNameSaysWhatIsWrong(t *testing.T) {
	_, err := canbus.Open(context.Background(), "pcan:USB17@500000")
	if _, ok := errors.AsType[*canbus.NameError](err); !ok || !strings.Contains(err.Error(), "USB1 to USB16") {
		t.Errorf("the error is %v", err)
	}
}
