package mux

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

// newLog returns a bus that can wait.
func newLog() describedBus {
	return describedBus{newFakeBus(), canbus.Properties{Waits: true}}
}

// listener is the Spec of an endpoint that only listens, with little room.
func listener(send, listen uint32) *Spec {
	s := pair(send, listen)
	s.Config.ListenOnly = true
	s.Config.HighMark, s.Config.HardLimit = 1000, 4000
	return s
}

// logged has the bus read so many Single Frames of an identifier, numbered.
func (b *fakeBus) logged(t testing.TB, id uint32, from, count int) {
	t.Helper()
	for i := from; i < from+count; i++ {
		b.in <- input{frames: frames(parse(t, fmt.Sprintf("%X#02%04X", id, i)))}
	}
}

// readNumbered reads that many messages of logged.
func readNumbered(t testing.TB, from, count int, receive func() ([]byte, error)) {
	t.Helper()
	for i := from; i < from+count; i++ {
		p, err := receive()
		if want := []byte{byte(i >> 8), byte(i)}; err != nil || !bytes.Equal(p, want) {
			t.Fatalf("message %d: %x, %v, want %x", i, p, err, want)
		}
	}
}

func TestLogWaitsForItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newLog()
		ep := attach(t, own(t, bus), listener(0x7E0, 0x7E8))
		bus.logged(t, 0x7E8, 0, 900)
		time.Sleep(time.Hour)
		if left := len(bus.in); left < 880 {
			t.Errorf("all but %d frames are read, with room for a few", left)
		}
		readNumbered(t, 0, 900, func() ([]byte, error) {
			time.Sleep(time.Minute)
			return receive(ep)
		})
		if n := ep.Stats().Errors[engine.ReceiverFull]; n != 0 {
			t.Errorf("%d messages lost", n)
		}
	})
}

// Frames that bring no message need no room.
func TestLogDoesNotWaitForWhatBringsNoMessage(t *testing.T) {
	for name, frame := range map[string]string{"overheard": "7E0#300000", "remote": "7E8#R"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newLog()
				ep := attach(t, own(t, bus), listener(0x7E0, 0x7E8))
				for i := 0; !full(ep); i++ {
					bus.logged(t, 0x7E8, i, 1)
					synctest.Wait()
				}
				bus.put(t, frame)
				bus.put(t, frame)
				synctest.Wait()
				if left := len(bus.in); left > 0 {
					t.Errorf("%d frames are left in the log", left)
				}
			})
		})
	}
}

// full reports whether an endpoint has no room for a message.
func full(ep *Endpoint) bool {
	ep.m.mu.Lock()
	defer ep.m.mu.Unlock()
	return ep.engine.Full()
}

func TestAnotherBusDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		ep := attach(t, own(t, bus), listener(0x7E0, 0x7E8))
		bus.logged(t, 0x7E8, 0, 900)
		synctest.Wait()
		if n := ep.Stats().Errors[engine.ReceiverFull]; n == 0 {
			t.Error("nothing is lost")
		}
	})
}

func TestLogWaitsForThoseWhoReadPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newLog()
		p, err := own(t, bus).Peers([]*Spec{listener(0x7E0, 0x7E8)}, 1, func(*Endpoint) {})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		bus.logged(t, 0x7E8, 0, 900)
		time.Sleep(time.Hour)
		readNumbered(t, 0, 900, func() ([]byte, error) {
			r, err := p.Receive(nil, true)
			return r.Data, err
		})
	})
}

func TestLogWaitsInMidMessage(t *testing.T) {
	for name, size := range map[string]int{"longer than is received whole": 1 << 17, "longer than the window": 60_000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newLog()
				s := listener(0x7E0, 0x7E8)
				s.Config.MaxMessageSize = 65535
				s.Config.Window = 1000
				ep := attach(t, own(t, bus), s)
				want := message(size)
				done := start(func() error {
					bus.in <- input{frames: frames(parse(t, fmt.Sprintf("7E8#1000%08X%X", size, want[:2])))}
					for i, sn := 2, 1; i < size; i, sn = i+7, sn+1 {
						cf := fmt.Sprintf("7E8#2%X%X", sn&15, want[i:min(i+7, size)])
						bus.in <- input{frames: frames(parse(t, cf))}
					}
					return nil
				})
				time.Sleep(time.Minute)
				if _, err := ep.Open(); err != nil {
					t.Fatal(err)
				}
				var got []byte
				p := make([]byte, 100)
				for info := (engine.Info{}); !info.End; {
					var n int
					var err error
					time.Sleep(time.Millisecond)
					if n, info, err = ep.Receive(p, engine.ReadStreams); err != nil {
						t.Fatalf("after %d bytes: %v", len(got), err)
					}
					got = append(got, p[:n]...)
				}
				if !bytes.Equal(got, want) {
					t.Error("another message came")
				}
				wantResult(t, done, nil)
			})
		})
	}
}

func TestOneWhoDoesNotReadHoldsUpOthersForPatienceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newLog()
		m := own(t, bus)
		idle, busy := attach(t, m, listener(0x7E0, 0x7E8)), attach(t, m, listener(0x7E1, 0x7E9))
		bus.logged(t, 0x7E8, 0, 500)
		bus.logged(t, 0x7E9, 7, 1)
		time.Sleep(time.Hour) // no caller waits
		result := startReceive(busy, []byte{0, 7})
		time.Sleep(patience - time.Nanosecond)
		wantWaiting(t, result)
		time.Sleep(time.Nanosecond)
		wantResult(t, result, nil)
		lost := idle.Stats().Errors[engine.ReceiverFull]
		if lost == 0 {
			t.Error("no loss is counted")
		}
		read := 0
		for {
			if _, err := receive(idle); err != nil {
				if err != ResultError(engine.ReceiverFull) {
					t.Error(err)
				}
				break
			}
			read++
		}
		if read+int(lost) != 500 {
			t.Errorf("%d read, %d lost of 500", read, lost)
		}
		// It reads now: so it holds the log again.
		bus.logged(t, 0x7E8, 0, 200)
		time.Sleep(time.Hour)
		readNumbered(t, 0, 200, func() ([]byte, error) { return receive(idle) })
	})
}

func TestPatienceBeginsAnewWithEachWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newLog()
		m := own(t, bus)
		idle, busy := attach(t, m, listener(0x7E0, 0x7E8)), attach(t, m, listener(0x7E1, 0x7E9))
		bus.logged(t, 0x7E8, 0, 100)
		bus.logged(t, 0x7E9, 7, 1)
		busy.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := receive(busy); err == nil {
			t.Fatal("it was not held up")
		}
		time.Sleep(time.Hour)
		if n := idle.Stats().Errors[engine.ReceiverFull]; n != 0 {
			t.Errorf("%d lost, although no caller waits", n)
		}
	})
}

func TestOthersWhoWaitForPacketsOrToAccept(t *testing.T) {
	for name, wait := range map[string]func(t *testing.T, m *Mux) error{
		"Receive": func(_ *testing.T, m *Mux) error {
			p, err := m.Peers([]*Spec{listener(0x7E1, 0x7E9)}, 1, func(*Endpoint) {})
			if err != nil {
				return err
			}
			defer p.Close()
			_, err = p.Receive(nil, true)
			return err
		},
		"Accept": func(t *testing.T, m *Mux) error {
			ep, err := listen(t, m, listener(0x7E1, 0x7E9)).Accept()
			if err == nil {
				ep.Close()
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newLog()
				m := own(t, bus)
				attach(t, m, listener(0x7E0, 0x7E8))
				result := start(func() error { return wait(t, m) })
				bus.logged(t, 0x7E8, 0, 100)
				bus.logged(t, 0x7E9, 7, 1)
				time.Sleep(patience - time.Nanosecond)
				wantWaiting(t, result)
				time.Sleep(time.Nanosecond)
				wantResult(t, result, nil)
			})
		})
		t.Run(name+", with the log held up already", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newLog()
				m := own(t, bus)
				attach(t, m, listener(0x7E0, 0x7E8))
				bus.logged(t, 0x7E8, 0, 100)
				bus.logged(t, 0x7E9, 7, 1)
				time.Sleep(time.Hour)
				result := start(func() error { return wait(t, m) })
				time.Sleep(patience)
				wantResult(t, result, nil)
			})
		})
	}
}

func TestCloseLiftsTheHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newLog()
		m := own(t, bus)
		idle, busy := attach(t, m, listener(0x7E0, 0x7E8)), attach(t, m, listener(0x7E1, 0x7E9))
		bus.logged(t, 0x7E8, 0, 100)
		bus.logged(t, 0x7E9, 7, 1)
		result := startReceive(busy, []byte{0, 7})
		wantWaiting(t, result)
		idle.Close()
		synctest.Wait()
		wantResult(t, result, nil)
	})
}

func TestDrainLiftsTheHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newLog()
		ep := attach(t, own(t, bus), listener(0x7E0, 0x7E8))
		bus.logged(t, 0x7E8, 0, 100)
		synctest.Wait()
		before := len(bus.in)
		n, err := ep.Drain()
		synctest.Wait()
		if n == 0 || err != nil || len(bus.in) >= before {
			t.Errorf("%d messages drained, %v; %d frames in the log before, %d after", n, err, before, len(bus.in))
		}
	})
}

func TestWhatNobodyHasAcceptedDoesNotHoldALog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newLog()
		m := own(t, bus)
		l := listen(t, m, listener(0x7E0, 0x7E8))
		bus.logged(t, 0x7E8, 0, 200)
		synctest.Wait()
		if left := len(bus.in); left != 0 {
			t.Errorf("%d frames are held", left)
		}
		ep, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer ep.Close()
		bus.logged(t, 0x7E8, 0, 200)
		synctest.Wait()
		if left := len(bus.in); left != 199 {
			t.Errorf("%d frames are held, want all but the one that is looked at", left)
		}
	})
}

func TestWriteThatFindsTheBusClosedLiftsTheHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newLog()
		m := own(t, bus)
		attach(t, m, listener(0x7E0, 0x7E8))
		other := attach(t, m, pair(0x7E1, 0x7E9))
		bus.logged(t, 0x7E8, 0, 100)
		result := start(func() error { _, err := receive(other); return err })
		bus.Close()
		bus.setWrite(bus.never)
		if err := send(other, []byte{1}); err == nil {
			t.Error("Send on a closed bus: nil")
		}
		synctest.Wait()
		select {
		case err := <-result:
			if _, ok := errors.AsType[*FailedError](err); !ok {
				t.Error(err)
			}
		default:
			t.Error("a read waits on a closed bus")
		}
	})
}
