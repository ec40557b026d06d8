package isotpnet

import (
	"errors"
	"os"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/kernel"
	"example.com/isotp/internal/mux"
	"example.com/isotp/internal/wire"
)

// Messages of more than one frame that the pair's peer has not answered: the flow
// control that is owed must not be taken for the next one's.

const (
	ffA = "7E0#1014616263646566" // of twenty
	ffB = "7E0#1014303132333435" // of times(20)
)

// On the kernel a message given up at its deadline goes on; the next one waits for its
// end.
func TestKernelLateFlowControlIsForTheMessageGivenUp(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := c.Write(twenty)
	wantError(t, err, os.ErrDeadlineExceeded)
	peer.expect(ffA)
	c.SetWriteDeadline(time.Time{})
	done := writing(c, times(20))
	if got := peer.frames(0); len(got) > 0 {
		t.Fatalf("%v before the flow control of the message given up", got)
	}
	peer.send("7E8#300000")
	peer.expect("7E0#216768696A6B6C6D", "7E0#226E6F7071727374", ffB)
	if got := peer.frames(0); len(got) > 0 {
		t.Fatalf("%v before its own flow control", got)
	}
	peer.send("7E8#300000")
	peer.expect(second, third)
	must(t, <-done)
}

// redial gives a message up on one backend, closes, and dials the pair on the other.
func redial(t *testing.T, from, to string) (c *Conn, peer *rawPeer) {
	t.Helper()
	name := newInterface(t)
	peer = newRawPeer(t, name)
	c1 := new(Dialer).mustDial(t, from, name+"/7E0:7E8")
	c1.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	_, err := c1.Write(twenty)
	wantError(t, err, os.ErrDeadlineExceeded)
	peer.expect(ffA)
	must(t, c1.Close())
	return new(Dialer).mustDial(t, to, name+"/7E0:7E8"), peer
}

var redials = [][2]string{
	{"isotp:kernel", "isotp:user"}, {"isotp:user", "isotp:kernel"}, {"isotp:kernel", "isotp:kernel"},
}

func TestKernelRedialWaitsForWhatIsOwed(t *testing.T) {
	for _, networks := range redials {
		t.Run(networks[0]+" "+networks[1], func(t *testing.T) {
			givenUp := time.Now()
			c, peer := redial(t, networks[0], networks[1])
			done := writing(c, times(20))
			got := peer.frames(0)
			if len(got) > 0 && time.Since(givenUp) < kernel.ReplyTimeout {
				t.Fatalf("%v although a flow control is owed", got)
			}
			peer.send("7E8#300000") // the late one
			if got = append(got, peer.frames(1-len(got))...); len(got) != 1 || got[0] != ffB {
				t.Fatalf("%v, want the First Frame and nothing before its own flow control", got)
			}
			peer.send("7E8#300000")
			peer.expect(second, third)
			must(t, <-done)
		})
	}
}

func TestKernelRedialSaysWhatIsOwed(t *testing.T) {
	for _, networks := range redials {
		t.Run(networks[0]+" "+networks[1], func(t *testing.T) {
			c, peer := redial(t, networks[0], networks[1])
			c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			_, err := c.Write(times(20))
			wantError(t, err, os.ErrDeadlineExceeded)
			owed, ok := errors.AsType[*OwedError](err)
			if !ok {
				t.Fatalf("%v, want an OwedError", err)
			}
			if left := time.Until(owed.Until); left <= 0 || left > time.Second {
				t.Errorf("owed for %v more", left)
			}
			if s := c.Stats(); s.SendsAborted != 1 || s.Errors[CodeFlowControlOwed] != 1 {
				t.Errorf("%+v", s)
			}
			c.SetWriteDeadline(time.Time{})
			if _, err := c.Write([]byte{0x3E}); err != nil { // a Single Frame does not wait
				t.Fatal(err)
			}
			peer.expect("7E0#013ECCCCCCCCCCCC")
		})
	}
}

// A stream's Write says what its DATA has waited for, and goes on when that is over.
func TestKernelStreamSaysWhatIsOwed(t *testing.T) {
	link := newInterface(t)
	ln, err := Listen("isotp-stream:kernel", link+"/7E8:7E0")
	must(t, err)
	defer ln.Close()
	mux.Owe(canbus.Identity(link), wire.Address{ID: 0x7E0}, wire.Address{ID: 0x7E8}, time.Now().Add(2*time.Second))
	c, err := Dial("isotp-stream:kernel", link+"/7E0:7E8")
	must(t, err)
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	n, err := c.Write(make([]byte, 100))
	if owed, ok := errors.AsType[*OwedError](err); n != 0 || !ok || time.Until(owed.Until) > 2*time.Second {
		t.Fatalf("Write: %d, %v", n, err)
	}
	if s := c.(*StreamConn).Stats(); s.Errors[CodeFlowControlOwed] != 1 {
		t.Errorf("Stats: %+v", s)
	}
	c.SetWriteDeadline(time.Time{})
	if n, err := c.Write(make([]byte, 100)); n != 100 || err != nil {
		t.Errorf("afterwards Write: %d, %v", n, err)
	}
}

// The listener's next connection is one of the same pair.
func TestKernelListenerWaitsForWhatIsOwed(t *testing.T) {
	name := newInterface(t)
	peer := newRawPeer(t, name)
	l, err := Listen("isotp:kernel", name+"/7E0:7E8")
	must(t, err)
	defer l.Close()
	accept := func() *Conn {
		peer.send("7E8#0178")
		a, err := l.Accept()
		must(t, err)
		t.Cleanup(func() { a.Close() })
		return a.(*Conn)
	}
	a := accept()
	a.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	a.Write(twenty)
	peer.expect(ffA)
	a.Close()
	a = accept()
	done := writing(a, times(20))
	if got := peer.frames(0); len(got) > 0 {
		t.Fatalf("%v although a flow control is owed", got)
	}
	if got := peer.frames(1); len(got) != 1 || got[0] != ffB {
		t.Fatalf("%v, want the First Frame", got)
	}
	peer.send("7E8#300000")
	must(t, <-done)
}

func TestKernelCloseEndsAWriteThatWaitsForWhatIsOwed(t *testing.T) {
	c, _ := redial(t, "isotp:kernel", "isotp:kernel")
	done := writing(c, times(20))
	time.Sleep(30 * time.Millisecond)
	within(t, 500*time.Millisecond, "Close", func() { c.Close() })
	if err := <-done; err == nil {
		t.Error("Write succeeds")
	}
}
