package isotpnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"example.com/isotp/test/vm/cantest"
)

func TestKernelShortReadsKeepTheRest(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	peer.send("7E8#0741424344454647", "7E8#0178")
	var got []string
	for _, size := range []int{3, 1, 2, 5, 9} {
		p := make([]byte, size)
		n, info, err := c.ReadMessage(p)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) < 4 && (info.Size != 7 || info.Rest != 7-len(bytes.Join(asBytes(got), nil))-n) {
			t.Errorf("after %q: %+v", got, info)
		}
		got = append(got, string(p[:n]))
	}
	if want := []string{"ABC", "D", "EF", "G", "x"}; !equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

func asBytes(texts []string) (b [][]byte) {
	for _, t := range texts {
		b = append(b, []byte(t))
	}
	return b
}

func equal(a, b []string) bool {
	return bytes.Equal(bytes.Join(asBytes(a), []byte{0}), bytes.Join(asBytes(b), []byte{0}))
}

func TestKernelEmptyReadTakesNothing(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	peer.send("7E8#0178")
	if n, err := c.Read(nil); n != 0 || err != nil {
		t.Errorf("%v, %v", n, err)
	}
	if n, err := c.Read(make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("%v, %v", n, err)
	}
	if n, err := c.Write(nil); n != 0 || err != nil {
		t.Errorf("Write: %v, %v", n, err)
	}
}

func TestKernelRestAndDeadline(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	peer.send("7E8#0741424344454647")
	p := make([]byte, 4)
	if _, err := c.Read(p); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Unix(1, 0))
	_, err := c.Read(p)
	wantError(t, err, os.ErrDeadlineExceeded)
	c.SetReadDeadline(time.Time{})
	if n, err := c.Read(p); string(p[:n]) != "EFG" || err != nil {
		t.Errorf("%q, %v", p[:n], err)
	}
}

func TestKernelMessageInfo(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	before := time.Now()
	peer.send("7E8#0178", "7E8#1008010203040506", "7E8#210708")
	buf := make([]byte, 100)
	_, single, err1 := c.ReadMessage(buf)
	_, long, err2 := c.ReadMessage(buf)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	after := time.Now()
	if single.Size != 1 || single.First != single.Last || single.Last.Before(before) || single.Last.After(after) {
		t.Errorf("single frame: %+v, not between %v and %v", single, before, after)
	}
	if long.Size != 8 || !long.First.IsZero() || long.Last.Before(single.Last) || long.Last.After(after) {
		t.Errorf("long message: %+v", long)
	}
}

func TestKernelNextReader(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	peer.send("7E8#0741424344454647", "7E8#0178", "7E8#0179")
	r, info, err := c.NextReader()
	if err != nil || info.Size != 7 {
		t.Fatalf("%+v, %v", info, err)
	}
	if _, err := io.ReadFull(r, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	r2, _, err := c.NextReader() // skips DEFG
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r2); string(b) != "x" || err != nil {
		t.Errorf("second: %q, %v", b, err)
	}
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("the first reader still reads")
	}
	r3, _, err := c.NextReader()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r3); string(b) != "y" || err != nil {
		t.Errorf("third: %q, %v", b, err)
	}
}

func TestKernelReportAborted(t *testing.T) {
	for _, test := range []struct {
		name   string
		frames []string
		code   Code
	}{
		{"N_Cr", []string{"7E8#1014010203040506"}, CodeTimeoutCr},
		{"wrong SN", []string{"7E8#1014010203040506", "7E8#2301020304050607"}, CodeWrongSN},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, peer := kernelAndPeer(t, &Dialer{Config: Config{ReportAborted: true}})
			read := make(chan error, 1)
			waiting := make(chan bool)
			go func() {
				close(waiting)
				_, err := c.Read(make([]byte, 100))
				read <- err
			}()
			<-waiting
			peer.send(test.frames...)
			err := <-read
			wantCode(t, err, test.code)
			peer.send("7E8#0178")
			if n, err := c.Read(make([]byte, 100)); n != 1 || err != nil {
				t.Errorf("the next: %v, %v", n, err)
			}
		})
	}
}

func TestKernelAbortedReceptionDoesNotEndARead(t *testing.T) {
	var aborted []TraceEvent
	c, peer := kernelAndPeer(t, &Dialer{Config: Config{Trace: &Trace{
		ReceptionAborted: func(e TraceEvent) { aborted = append(aborted, e) },
	}}})
	peer.send("7E8#1014010203040506", "7E8#2301020304050607", "7E8#0178")
	if n, err := c.Read(make([]byte, 100)); n != 1 || err != nil {
		t.Fatalf("%v, %v", n, err)
	}
	if len(aborted) != 1 || aborted[0].Code != CodeWrongSN || aborted[0].Conn != c {
		t.Errorf("trace %+v", aborted)
	}
	if s := c.Stats(); s.ReceptionsAborted != 1 || s.Errors[CodeWrongSN] != 1 || s.MessagesReceived != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestKernelListenerAcceptsTheFirstMessage(t *testing.T) {
	name := newInterface(t)
	l, err := new(ListenConfig).Listen(t.Context(), "isotp", name+"/7E8:7E0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if b := l.(*Listener).Backend(); b != "kernel" {
		t.Fatalf("backend %s", b)
	}
	c := new(Dialer).mustDial(t, "isotp", name+"/7E0:7E8")
	buf := make([]byte, 100)
	for _, text := range []string{"the first", "the second one"} {
		// Sent before Accept waits: the listener has heard it.
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		a, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := a.Read(buf); string(buf[:n]) != text || err != nil {
			t.Fatalf("%q, %v", buf[:n], err)
		}
		if _, err := a.Write([]byte("an answer to " + text)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(buf); string(buf[:n]) != "an answer to "+text || err != nil {
			t.Fatalf("%q, %v", buf[:n], err)
		}
		if a.LocalAddr() != c.RemoteAddr() || a.RemoteAddr() != c.LocalAddr() {
			t.Errorf("addresses %v %v, %v %v", a.LocalAddr(), a.RemoteAddr(), c.LocalAddr(), c.RemoteAddr())
		}
		c.Write([]byte("not read, and so lost"))
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKernelListenerHasOneConnAtATime(t *testing.T) {
	name := newInterface(t)
	l, err := Listen("isotp:kernel", name+"/7E8:7E0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := new(Dialer).mustDial(t, "isotp:kernel", name+"/7E0:7E8")
	c.Write([]byte("one"))
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l.(*Listener).SetDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := l.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Accept beside a live connection: %v", err)
	}
	l.(*Listener).SetDeadline(time.Time{})
	second := make(chan error, 1)
	go func() {
		a, err := l.Accept()
		if err == nil {
			defer a.Close()
			buf := make([]byte, 10)
			var n int
			if n, err = a.Read(buf); string(buf[:n]) != "two" {
				err = errors.New("the message is " + string(buf[:n]))
			}
		}
		second <- err
	}()
	a.Close()
	c.Write([]byte("two"))
	if err := <-second; err != nil {
		t.Error(err)
	}
}

func TestKernelListenerDeadlineAndClose(t *testing.T) {
	name := newInterface(t)
	ln, err := Listen("isotp:kernel", name+"/7E8:7E0")
	if err != nil {
		t.Fatal(err)
	}
	l := ln.(*Listener)
	accept := make(chan error, 1)
	go func() { _, err := l.Accept(); accept <- err }()
	l.SetDeadline(time.Now().Add(20 * time.Millisecond))
	wantError(t, <-accept, os.ErrDeadlineExceeded)
	if _, err := l.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Accept after the deadline: %v", err)
	}
	l.SetDeadline(time.Time{})
	go func() { _, err := l.Accept(); accept <- err }()
	within(t, time.Second, "Close", func() { l.Close() })
	wantError(t, <-accept, errClosed)
	if _, err := l.Accept(); !errors.Is(err, errClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	// The pair is free again.
	new(Dialer).mustDial(t, "isotp:kernel", name+"/7E8:7E0")
}

func TestKernelListenerClosedLeavesConnAlive(t *testing.T) {
	name := newInterface(t)
	l, err := Listen("isotp:kernel", name+"/7E8:7E0")
	if err != nil {
		t.Fatal(err)
	}
	c := new(Dialer).mustDial(t, "isotp:kernel", name+"/7E0:7E8")
	c.Write([]byte("one"))
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := Listen("isotp:kernel", name+"/7E8:7E0"); err == nil {
		t.Error("the pair can be listened on although a connection has it")
	}
	if _, err := a.Write(make([]byte, 100)); err != nil {
		t.Error(err)
	}
	a.Close()
	l, err = Listen("isotp:kernel", name+"/7E8:7E0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestKernelListenerAfterAConnThatWasSending(t *testing.T) {
	name := newInterface(t)
	peer := newRawPeer(t, name)
	l, err := Listen("isotp:kernel", name+"/7E8:7E0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 3 {
		peer.send("7E0#0178")
		a, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		a.SetWriteDeadline(time.Now().Add(5 * time.Millisecond))
		a.Write(twenty) // the peer does not answer
		within(t, 500*time.Millisecond, "Close", func() { a.Close() })
	}
}

func TestKernelListenerSurvivesItsInterface(t *testing.T) {
	name := newInterface(t)
	l, err := Listen("isotp:kernel", name+"/7E8:7E0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accept := make(chan error, 1)
	go func() {
		for {
			_, err := l.Accept()
			if !errors.Is(err, errDown) {
				accept <- err
				return
			}
		}
	}()
	must(t, cantest.DeleteLink(name))
	wantError(t, <-accept, errNoDevice)
	_, err = l.Accept()
	wantError(t, err, errNoDevice)
	wantError(t, err, net.ErrClosed) // where others end
	must(t, cantest.AddLink(name))
	must(t, cantest.SetLink(name, true))
	go func() {
		a, err := l.Accept()
		if err == nil {
			a.Close()
		}
		accept <- err
	}()
	peer := newRawPeer(t, name)
	for {
		peer.send("7E0#0178")
		select {
		case err := <-accept:
			if err != nil {
				t.Fatal(err)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
