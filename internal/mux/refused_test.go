package mux

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
)

// refuse has the bus read frames that were written here and will not be sent.
func (b *fakeBus) refuse(t testing.TB, frames ...string) {
	t.Helper()
	var i input
	for _, s := range frames {
		f := parse(t, s)
		f.Flags |= canbus.Echo | canbus.Refused
		i.frames = append(i.frames, f)
	}
	b.in <- i
	synctest.Wait()
}

// wantRefused waits for a result, which must be that this frame was refused.
func wantRefused(t testing.TB, result <-chan error, frame string) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-result:
		refused, ok := errors.AsType[*canbus.RefusedError](err)
		if !ok || refused.Frame.String() != frame {
			t.Errorf("the result is %v, want the refusal of %s", err, frame)
		}
	default:
		t.Error("the call has not ended")
	}
}

func TestRefusedSingleFrameFailsItsMessageOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		result := startSend(ep, []byte{1})
		bus.refuse(t, "7E0#0101")
		wantRefused(t, result, "7E0#0101")
		if s := ep.Stats(); s.Errors[engine.Refused] != 1 || s.SendsAborted != 1 {
			t.Errorf("%d refused, %d aborted, want 1 and 1", s.Errors[engine.Refused], s.SendsAborted)
		}
		result = startSend(ep, []byte{2})
		bus.echo(t, "7E0#0102")
		wantResult(t, result, nil)
	})
}

func TestRefusedFirstFrameLeavesNoDebt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		result := startSend(ep, message(20))
		first := bus.written()[0]
		bus.refuse(t, first)
		wantRefused(t, result, first)
		startSend(ep, message(20))
		bus.want(t, first)
	})
}

func TestRefusedConsecutiveFrameEndsTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(4) // 3 at once
		m := own(t, bus)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		result := startSend(ep, message(6+7*20))
		bus.echo(t, bus.written()...)
		bus.put(t, "7E8#300000")
		sent := bus.written()
		bus.echo(t, sent[0])
		sent = append(sent, bus.written()...)
		bus.refuse(t, sent[1])
		wantRefused(t, result, sent[1])
		bus.want(t) // nothing more of it
		bus.echo(t, sent[2:]...)
		if n := len(m.writer.inFlight); n != 0 {
			t.Errorf("%d frames are waited for", n)
		}
		result = startSend(ep, []byte{2})
		bus.echo(t, "7E0#0102")
		wantResult(t, result, nil)
	})
}

func TestRefusedLastFrameIsNotSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		result := startSend(ep, message(20))
		bus.echo(t, bus.written()...)
		bus.put(t, "7E8#300000")
		rest := bus.written()
		bus.echo(t, rest[0])
		wantWaiting(t, result)
		bus.refuse(t, rest[1])
		wantRefused(t, result, rest[1])
	})
}

// Of two equal frames the one that is given up may have been lost: the other one must
// not count as sent when a later echo comes.
func TestRefusalIsThatOfTheMessageUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		if err := send(ep, []byte{1}); err != timeoutA {
			t.Fatalf("Send without an echo: %v", err)
		}
		result := startSend(ep, []byte{1})
		bus.refuse(t, "7E0#0101")
		wantRefused(t, result, "7E0#0101")
	})
}

func TestRefusedFlowControlEndsTheReception(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		s := pair(0x7E0, 0x7E8)
		s.Config.ReportAborted = true
		var aborted []engine.Code
		ep := attachObserved(t, own(t, bus), s, &observer{step: func(o engine.Observation) {
			if o.Kind == engine.ReceptionAborted {
				aborted = append(aborted, o.Code)
			}
		}})
		result := start(func() error { _, err := receive(ep); return err })
		bus.put(t, "7E8#1014000102030405")
		bus.want(t, "7E0#300000")
		bus.refuse(t, "7E0#300000")
		wantResult(t, result, ResultError(engine.Refused))
		if len(aborted) != 1 || aborted[0] != engine.Refused {
			t.Errorf("the observer was told of %v", aborted)
		}
		bus.put(t, "7E8#0199")
		if p, err := receive(ep); err != nil || !bytes.Equal(p, []byte{0x99}) {
			t.Errorf("then %x, %v", p, err)
		}
	})
}

func TestRefusedOverflowIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		s := pair(0x7E0, 0x7E8)
		s.Config.MaxMessageSize = 10
		ep := attach(t, own(t, bus), s)
		start(func() error { _, err := receive(ep); return err })
		bus.put(t, "7E8#1014000102030405")
		bus.want(t, "7E0#320000")
		bus.refuse(t, "7E0#320000")
		if n := ep.Stats().Errors[engine.Refused]; n != 1 {
			t.Errorf("%d refused, want 1", n)
		}
	})
}

func TestRefusedFrameIsNotHeardOnItsOwnBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		m := own(t, bus)
		tester, ecu := attach(t, m, pair(0x7E0, 0x7E8)), attach(t, m, pair(0x7E8, 0x7E0))
		result := startSend(tester, []byte{1})
		bus.refuse(t, "7E0#0101")
		wantRefused(t, result, "7E0#0101")
		if n := ecu.Stats().FramesReceived; n != 0 {
			t.Errorf("%d frames received, want none", n)
		}
	})
}

func TestRefusedFramesFailEveryWayToSend(t *testing.T) {
	for name, tt := range map[string]struct {
		frame string
		send  func(t *testing.T, m *Mux, ep *Endpoint) error
	}{
		"SendFrom":   {"7E0#0101", func(_ *testing.T, _ *Mux, ep *Endpoint) error { return ep.SendFrom(bytes.NewReader([]byte{1}), 1) }},
		"SendSplit":  {"7E0#0101", func(_ *testing.T, _ *Mux, ep *Endpoint) error { _, err := ep.SendSplit([]byte{1, 2}, 1); return err }},
		"functional": {"7DF#0101", func(t *testing.T, m *Mux, ep *Endpoint) error { return group(t, m, ep).Send([]byte{1}) }},
		"a peer": {"7E1#0101", func(_ *testing.T, m *Mux, _ *Endpoint) error {
			p, err := m.Peers([]*Spec{pair(0x7E1, 0x7E9)}, 1, func(*Endpoint) {})
			if err != nil {
				return err
			}
			defer p.Close()
			return p.Send(*addr(0x7E1), *addr(0x7E9), []byte{1})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newEchoBus(0)
				m := own(t, bus)
				ep := attach(t, m, pair(0x7E0, 0x7E8))
				result := start(func() error { return tt.send(t, m, ep) })
				bus.refuse(t, tt.frame)
				wantRefused(t, result, tt.frame)
			})
		})
	}
}

func TestHandlerIsToldThatThePeerHasNotGotARefusedMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		h := handle(t, ep)
		ep.Start([]byte{1})
		bus.refuse(t, "7E0#0101")
		h.want(t, sentText(false, &canbus.RefusedError{Frame: parse(t, "7E0#0101")}))
	})
}

// A closed pair whose First Frame is refused owes nothing to the next one.
func TestRefusalAfterCloseEndsTheDebt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		m := own(t, bus)
		ep := attach(t, m, pair(0x7E0, 0x7E8))
		ep.SetWriteDeadline(time.Now().Add(time.Millisecond))
		if err := send(ep, message(20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		first := bus.written()[0]
		ep.Close()
		ep = attach(t, m, pair(0x7E0, 0x7E8))
		startSend(ep, message(20))
		bus.want(t) // it waits for the flow control that may come
		bus.refuse(t, first)
		bus.want(t, first)
	})
}

func TestEchoAtHandoverIsNotTheEndOfTheFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		bus.properties.EchoAtHandover, bus.properties.Bitrate = true, 10_000
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		result := startSend(ep, message(20))
		first := bus.written()[0]
		bus.echo(t, first)
		// N_Bs begins when the frame has left.
		f := parse(t, first)
		wire := canbus.WireTime(&f, 10_000, 0)
		time.Sleep(time.Second + wire - 1)
		wantWaiting(t, result)
		bus.put(t, "7E8#30000A")
		cf := bus.written()
		if len(cf) != 1 {
			t.Fatalf("%q after the flow control", cf)
		}
		bus.echo(t, cf...)
		f = parse(t, cf[0])
		time.Sleep(canbus.WireTime(&f, 10_000, 0) + 10*time.Millisecond - 1)
		bus.want(t) // STmin runs from the frame's end
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		bus.echo(t, bus.written()...)
		wantResult(t, result, nil)
	})
}

func TestFramesTakenAtOnceLeaveOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(0)
		bus.properties.EchoAtHandover, bus.properties.Bitrate = true, 10_000
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		result := startSend(ep, message(6+7*8))
		first := bus.written()
		bus.echo(t, first...)
		bus.put(t, "7E8#300400")
		block := bus.written()
		var wire time.Duration
		for _, s := range append(first, block...) {
			f := parse(t, s)
			wire += canbus.WireTime(&f, 10_000, 0)
		}
		bus.echo(t, block...)
		time.Sleep(time.Second + wire - 1)
		wantWaiting(t, result)
		time.Sleep(time.Millisecond)
		wantResult(t, result, ResultError(engine.TimeoutBs))
	})
}
