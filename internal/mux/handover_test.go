package mux

import (
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A handing is a HandOver under way.
type handing struct {
	handed bool
	err    error
	done   chan struct{}
}

func startHandOver(ep *Endpoint, p []byte) *handing {
	h := &handing{done: make(chan struct{})}
	go func() {
		defer close(h.done)
		h.handed, h.err = ep.HandOver(ep.Format(), p)
	}()
	synctest.Wait()
	return h
}

// want checks how it has ended.
func (h *handing) want(t *testing.T, handed bool, err error) {
	t.Helper()
	synctest.Wait()
	select {
	case <-h.done:
	default:
		t.Fatal("HandOver still waits")
	}
	if h.handed != handed || h.err != err {
		t.Errorf("HandOver: %v, %v; want %v, %v", h.handed, h.err, handed, err)
	}
}

func TestHandOverSendsAMessage(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		h := startHandOver(ep, message(10))
		bus.put(t, "7E8#300000")
		h.want(t, true, nil)
	})
}

// Nobody has the message: it can be sent again.
func TestHandOverBeforeTheLastFrameIsAborted(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		ep.SetWriteDeadline(time.Now().Add(time.Second / 2))
		h := startHandOver(ep, message(10))
		time.Sleep(time.Second / 2)
		h.want(t, false, os.ErrDeadlineExceeded)
		bus.written()
		bus.put(t, "7E8#300000")
		bus.want(t)
	})
}

func TestHandOverWithAPastDeadlineSendsNothing(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		ep.SetWriteDeadline(past)
		startHandOver(ep, message(1)).want(t, false, os.ErrDeadlineExceeded)
		bus.want(t)
	})
}

// The last frame is with the bus, which has not said yet that it is on the wire.
func TestHandOverAfterTheLastFrameGoesItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(8)
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		ep.SetWriteDeadline(time.Now().Add(time.Second / 2))
		h := startHandOver(ep, []byte{1})
		time.Sleep(time.Second / 2)
		h.want(t, true, os.ErrDeadlineExceeded)
		bus.want(t, "7E0#0101")

		ep.SetWriteDeadline(time.Time{})
		next := startHandOver(ep, []byte{2})
		bus.want(t)
		bus.echo(t, "7E0#0101")
		bus.want(t, "7E0#0102")
		bus.echo(t, "7E0#0102")
		next.want(t, true, nil)
	})
}

// A frame that waits for a bus without room is not taken back: it would be unknown
// whether the bus has taken it just now.
func TestHandOverOfAFrameThatWaitsForTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.setWrite(tempFail)
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		ep.SetWriteDeadline(time.Now().Add(time.Millisecond))
		h := startHandOver(ep, []byte{1})
		time.Sleep(time.Millisecond)
		h.want(t, true, os.ErrDeadlineExceeded)
		bus.setWrite(nil)
		time.Sleep(time.Millisecond)
		bus.want(t, "7E0#0101")
	})
}

// While an earlier message is on its way the deadline holds too.
func TestHandOverThatWaitsForAnotherHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newEchoBus(8)
		ep := attach(t, own(t, bus), pair(0x7E0, 0x7E8))
		ep.SetWriteDeadline(time.Now().Add(time.Millisecond))
		startHandOver(ep, []byte{1})
		time.Sleep(time.Millisecond)
		ep.SetWriteDeadline(time.Now().Add(time.Millisecond))
		h := startHandOver(ep, []byte{2})
		time.Sleep(time.Millisecond)
		h.want(t, false, os.ErrDeadlineExceeded)
		bus.want(t, "7E0#0101")
	})
}

func TestCloseEndsAHandOver(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		h := startHandOver(ep, message(10))
		ep.Close()
		h.want(t, false, net.ErrClosed)
	})
}
