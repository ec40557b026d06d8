package mux

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

func TestFramesOnTheirWayAreBounded(t *testing.T) {
	for _, c := range []struct{ queueLen, want int }{
		{0, unknownQueue}, {1, 1}, {2, 1}, {3, 2}, {4, 3}, {10, 7}, {64, 48}, {1000, batch},
	} {
		t.Run(fmt.Sprintf("a queue of %d", c.queueLen), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newEchoBus(c.queueLen)
				ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
				result := startSend(ep, message(6+7*200))
				bus.echo(t, bus.written()...)
				bus.put(t, "7E8#300000")
				left := 200
				for left > 0 {
					frames := bus.written()
					if want := min(c.want, left); len(frames) != want {
						t.Fatalf("%d frames on their way, want %d (%d to go)", len(frames), want, left)
					}
					bus.echo(t, frames[0])
					if more := bus.written(); len(more) != min(1, left-len(frames)) {
						t.Fatalf("%d frames follow one echo", len(more))
					} else {
						frames = append(frames, more...)
					}
					left -= len(frames)
					bus.echo(t, frames[1:]...)
				}
				wantResult(t, result, nil)
			})
		})
	}
}

// first and second are endpoints that send equal frames.
func equalSenders(t *testing.T, m *Mux) (first, second *Endpoint) {
	only := pair(0x7DF, 0)
	only.Listen = nil
	return attach(t, m, only), attach(t, m, only)
}

func TestEqualFramesAreToldApartByTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		first, second := equalSenders(t, own(t, bus))
		a, b := startSend(first, []byte{1}), startSend(second, []byte{1})
		wantWaiting(t, a, b)
		bus.echo(t, "7DF#0101")
		wantResult(t, a, nil)
		wantWaiting(t, b)
		bus.echo(t, "7DF#0101")
		wantResult(t, b, nil)
	})
}

func TestEchoesInAnotherOrderThanWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		m := own(t, bus)
		a, b := attach(t, m, pair(0x7E1, 0x7E9)), attach(t, m, pair(0x7E0, 0x7E8))
		results := []<-chan error{startSend(a, []byte{1}), startSend(b, []byte{1})}
		bus.echo(t, "7E0#0101") // it has won the arbitration
		wantResult(t, results[1], nil)
		wantWaiting(t, results[0])
		bus.echo(t, "7E1#0101")
		wantResult(t, results[0], nil)
	})
}

func TestLostEchoFollowedByAnEqualFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		m := own(t, bus)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		if err := send(ep, []byte{1}); err != timeoutA {
			t.Fatalf("Send without an echo: %v", err)
		}
		result := startSend(ep, []byte{1})
		bus.echo(t, "7E0#0101")
		wantResult(t, result, nil)
	})
}

func TestLateEchoIsNotTakenForAnotherFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		m := own(t, bus)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		if err := send(ep, []byte{1}); err != timeoutA {
			t.Fatalf("Send without an echo: %v", err)
		}
		result := startSend(ep, []byte{2})
		bus.echo(t, "7E0#0101")
		wantWaiting(t, result)
		bus.echo(t, "7E0#0102")
		wantResult(t, result, nil)
		if len(m.writer.inFlight) != 0 {
			t.Errorf("%d frames are waited for", len(m.writer.inFlight))
		}
	})
}

func TestEchoIsComparedWhole(t *testing.T) {
	for _, other := range []string{"7E1#0101", "000007E0#0101", "7E0#0102", "7E0#010100", "7E0##00101"} {
		t.Run(other, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newEchoBus(0)
				ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
				result := startSend(ep, []byte{1})
				bus.echo(t, other)
				wantWaiting(t, result)
				bus.echo(t, "7E0#0101")
				wantResult(t, result, nil)
			})
		})
	}
}

// A driver may say of a frame's echo ESI what the controller made of it.
func TestEchoMayDifferInWhatTheControllerSets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		s := pair(0x7E0, 0x7E8)
		s.Config.FD, s.Config.FrameSize = true, 64
		ep := attach(t, own(t, bus), s)
		result := startSend(ep, []byte{1})
		f := parse(t, bus.written()[0])
		f.Flags |= canbus.Echo | canbus.ESI | canbus.BRS
		f.Stamp(12345)
		f.Channel = 3
		bus.in <- input{frames: []canbus.Frame{f}}
		wantResult(t, result, nil)
	})
}

func TestLostEchoesMakeRoomWhenTheirMessagesHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(4)
		m := own(t, bus)
		var results []<-chan error
		for i := range uint32(3) {
			results = append(results, startSend(attach(t, m, pair(0x100+i, 0x500+i)), []byte{1}))
		}
		time.Sleep(500 * time.Millisecond)
		last := startSend(attach(t, m, pair(0x7E0, 0x7E8)), []byte{2})
		bus.want(t, "100#0101", "101#0101", "102#0101")
		for _, result := range results {
			wantResult(t, result, timeoutA)
		}
		synctest.Wait()
		bus.want(t, "7E0#0102")
		bus.echo(t, "7E0#0102")
		wantResult(t, last, nil)
	})
}

func TestClosedEndpointMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(1)
		m := own(t, bus)
		a, b := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E1, 0x7E9))
		startSend(a, []byte{1})
		result := startSend(b, []byte{2})
		bus.want(t, "7E0#0101")
		a.Close()
		synctest.Wait()
		bus.want(t, "7E1#0102")
		bus.echo(t, "7E0#0101", "7E1#0102")
		wantResult(t, result, nil)
	})
}

func TestAbortedSendMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(1)
		m := own(t, bus)
		a, b := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E1, 0x7E9))
		first := startSend(a, []byte{1})
		result := startSend(b, []byte{2})
		bus.want(t, "7E0#0101")
		a.SetWriteDeadline(time.Now())
		wantResult(t, first, os.ErrDeadlineExceeded)
		synctest.Wait()
		bus.want(t, "7E1#0102")
		bus.echo(t, "7E1#0102")
		wantResult(t, result, nil)
	})
}

// The echo comes while WriteFrames has not returned yet.
func TestEchoMayBeQuickerThanTheWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		bus.setWrite(func(b []canbus.Frame) (int, error) {
			f := b[0]
			f.Flags |= canbus.Echo
			bus.in <- input{frames: []canbus.Frame{f}}
			time.Sleep(100 * time.Millisecond)
			return len(b), nil
		})
		begun := time.Now()
		if err := send(ep, []byte{1}); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begun); d != 0 {
			t.Errorf("Send took %v, want until the echo", d)
		}
		time.Sleep(time.Second)
	})
}

func TestRefusedFrameIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(1)
		m := own(t, bus)
		bus.setWrite(refuse(0x7E1))
		bad, good := attach(t, m, pair(0x7E1, 0x7E9)), attach(t, m, pair(0x7E0, 0x7E8))
		if err := send(bad, []byte{1}); err != errBroken {
			t.Errorf("Send: %v", err)
		}
		result := startSend(good, []byte{1})
		bus.echo(t, "7E0#0101")
		wantResult(t, result, nil)
	})
}

func TestRefusedFlowControlIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(1)
		m := own(t, bus)
		bus.setWrite(refuse(0x7E1))
		attach(t, m, pair(0x7E1, 0x7E9))
		bus.put(t, "7E9#1014010203040506")
		result := startSend(attach(t, m, pair(0x7E0, 0x7E8)), []byte{1})
		bus.want(t, "7E0#0101")
		bus.echo(t, "7E0#0101")
		wantResult(t, result, nil)
	})
}

func TestSendIsDoneAtTheLastEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		result := startSend(ep, message(13))
		bus.echo(t, bus.written()...)
		bus.put(t, "7E8#300000")
		frames := bus.written()
		if len(frames) != 1 || !strings.HasPrefix(frames[0], "7E0#21") {
			t.Fatalf("written %q", frames)
		}
		wantWaiting(t, result)
		bus.echo(t, frames...)
		wantResult(t, result, nil)
		if s := ep.Stats(); s.MessagesSent != 1 || s.FramesSent != 2 || s.Errors[engine.TimeoutA] != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// Each message loses some of its echoes, but not the last.
func TestLaterEchoIsProofOfTheFramesBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(10) // 7 frames on their way
		m := own(t, bus)
		ep, other := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E1, 0x7E9))
		begun := time.Now()
		result := startSend(ep, message(6+7*40))
		bus.echo(t, bus.written()...)
		bus.put(t, "7E8#300000")
		for left := 40; left > 0; {
			frames := bus.written()
			if len(frames) == 0 {
				t.Fatalf("%d Consecutive Frames are left and nothing is written", left)
			}
			left -= len(frames)
			bus.echo(t, frames[len(frames)-1])
		}
		wantResult(t, result, nil)
		result = startSend(other, []byte{1})
		bus.echo(t, "7E1#0101")
		wantResult(t, result, nil)
		if d := time.Since(begun); d != 0 {
			t.Errorf("that took %v", d)
		}
		if s := ep.Stats(); s.FramesSent != 41 {
			t.Errorf("%d frames sent, want 41", s.FramesSent)
		}
	})
}

func TestEchoOfAnotherIdentifierProvesNothing(t *testing.T) {
	for _, other := range []uint32{0x7E1, 0x000007E0 | 1<<28} {
		synctest.Test(t, func(t *testing.T) {
			bus := newEchoBus(0)
			m := own(t, bus)
			first := startSend(attach(t, m, pair(0x7E0, 0x7E8)), []byte{1})
			second := startSend(attach(t, m, pair(other, 0x7E9)), []byte{1})
			bus.echo(t, bus.written()[1])
			wantResult(t, second, nil)
			wantWaiting(t, first)
			wantResult(t, first, timeoutA)
		})
	}
}

func TestFlowControlBeforeTheEchoes(t *testing.T) {
	const block = "7E8#300800"
	for _, c := range []struct {
		name       string
		properties canbus.Properties
		ahead      bool // a second flow control lets a second block go at once
	}{
		{"echoes", canbus.Properties{Echo: true, QueueLen: 64}, false},
		{"echoes that lag", canbus.Properties{Echo: true, QueueLen: 64, EchoesLag: true}, true},
		{"the wire's bit rate", canbus.Properties{Bitrate: 500_000, WireRate: true}, false},
		{"the wire's bit rate and echoes that lag", canbus.Properties{Bitrate: 500_000, WireRate: true, Echo: true, QueueLen: 64, EchoesLag: true}, false},
		{"our own pace", canbus.Properties{Bitrate: 500_000}, true},
		{"nothing", canbus.Properties{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := describedBus{newFakeBus(), c.properties}
				ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
				result := startSend(ep, message(6+7*24))
				time.Sleep(time.Millisecond)
				if c.properties.Echo {
					bus.echo(t, bus.written()...)
				}
				bus.written()
				bus.put(t, block)
				bus.put(t, block)
				frames := bus.written()
				if want := map[bool]int{false: 8, true: 16}[c.ahead]; len(frames) != want {
					t.Errorf("%d Consecutive Frames went out, want %d", len(frames), want)
				}
				ep.Close()
				<-result
			})
		})
	}
}
