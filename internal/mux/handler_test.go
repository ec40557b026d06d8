package mux

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/internal/engine"
)

// A handler remembers what it was given.
type handler struct {
	mu    sync.Mutex
	given []string
	on    func(p []byte, err error) // called too, where not nil
}

func (c *handler) Sent(_ engine.Time, handed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.given = append(c.given, sentText(handed, err))
}

// sentText is how a handler remembers a call of Sent.
func sentText(handed bool, err error) string { return fmt.Sprintf("sent: %v, %v", handed, err) }

func (c *handler) Message(_ engine.Time, p []byte, err error) {
	if c.on != nil {
		c.on(p, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.given = append(c.given, err.Error())
		return
	}
	c.given = append(c.given, fmt.Sprintf("%X", p))
}

// want checks what was given, and forgets it.
func (c *handler) want(t *testing.T, given ...string) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.given, given) {
		t.Errorf("the handler was given %q, want %q", c.given, given)
	}
	c.given = nil
}

func handle(t *testing.T, ep *Endpoint) *handler {
	t.Helper()
	c := new(handler)
	if err := ep.Handle(c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHandlerIsGivenMessages(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		c := handle(t, ep)
		bus.put(t, "7E8#0101", "7E8#100801020304050A", "7E8#210708")
		c.want(t, "01", "01020304050A0708")
		bus.put(t, "7E8#0102")
		c.want(t, "02")
	})
}

func TestHandlerIsGivenWhatHadComeBefore(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		bus.put(t, "7E8#0101", "7E8#0102")
		handle(t, ep).want(t, "01", "02")
	})
}

// The call for one message is not over when the next one comes.
func TestHandlerIsCalledOneAtATime(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		entered, leave := make(chan struct{}), make(chan struct{})
		c := &handler{on: func(p []byte, err error) {
			if err != nil {
				return // at the end of the test
			}
			before := bytes.Clone(p)
			entered <- struct{}{}
			<-leave
			if !bytes.Equal(before, p) {
				t.Errorf("the bytes have changed from %X to %X", before, p)
			}
		}}
		bus.put(t, "7E8#0101")
		consumed := make(chan error)
		go func() { consumed <- ep.Handle(c) }()
		<-entered
		bus.put(t, "7E8#0102", "7E8#0103")
		for range 2 {
			leave <- struct{}{}
			<-entered
		}
		leave <- struct{}{}
		if err := <-consumed; err != nil {
			t.Error(err)
		}
		c.want(t, "01", "02", "03")
	})
}

// What a message takes up in the queue is free after the call, and the clear to
// send that waited for it goes out.
func TestHandlingMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		s := pair(0x7E0, 0x7E8)
		s.Config.HighMark = 100
		ep := attach(t, own(t, bus), s)
		bus.put(t, "7E8#1060010203040506") // fills the queue
		bus.want(t, "7E0#300000")
		for i := range 13 {
			bus.put(t, fmt.Sprintf("7E8#2%X01020304050607", (i+1)%16))
		}
		bus.put(t, "7E8#1008010203040506")
		bus.want(t)
		c := handle(t, ep)
		synctest.Wait()
		bus.want(t, "7E0#300000")
		bus.put(t, "7E8#210708")
		message := "010203040506" + strings.Repeat("01020304050607", 13)
		c.want(t, message[:2*0x60], "0102030405060708")
	})
}

func TestHandlerIsToldOfAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		s := pair(0x7E0, 0x7E8)
		s.Config.ReportAborted = true
		ep := attach(t, own(t, bus), s)
		c := handle(t, ep)
		for range 2 {
			bus.put(t, "7E8#1008010203040506")
			time.Sleep(time.Second)
			c.want(t, ResultError(engine.TimeoutCr).Error())
		}
		bus.put(t, "7E8#0101")
		c.want(t, "01")
	})
}

func TestHandlerIsToldOnceThatTheBusFailed(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		c := handle(t, ep)
		bus.in <- input{frames: frames(parse(t, "7E8#0101")), err: errBroken}
		c.want(t, "01", errBroken.Error())
		ep.Close()
		c.want(t)
	})
}

func TestHandlerOfABusThatHasFailed(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		bus.in <- input{frames: frames(parse(t, "7E8#0101")), err: io.EOF}
		synctest.Wait()
		handle(t, ep).want(t, "01", io.EOF.Error())
	})
}

// Whichever caller has closed the endpoint: the handler waits for what comes, and is told
// that nothing will come.
func TestHandlerIsToldOfClose(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		c := handle(t, ep)
		ep.Close()
		bus.put(t, "7E8#0101")
		c.want(t, net.ErrClosed.Error())
		if err := ep.Handle(c); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Handle on a closed endpoint: %v", err)
		}
	})
}

func TestCloseWhileAMessageIsHandled(t *testing.T) {
	inEndpointBubble(t, func(t *testing.T, bus *fakeBus, ep *Endpoint) {
		leave := make(chan struct{})
		c := &handler{on: func([]byte, error) { <-leave }}
		if err := ep.Handle(c); err != nil {
			t.Fatal(err)
		}
		bus.put(t, "7E8#0101", "7E8#0102")
		ep.Close() // does not wait for the handler
		close(leave)
		c.want(t, "01", net.ErrClosed.Error())
	})
}
