package socketcand

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/conntest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server of a virtual bus that it calls can0, and returns its address
// and what ends it.
func serve(o virtual.Options) (address string, n *virtual.Network, stop func(), err error) {
	if n, err = virtual.New(o); err != nil {
		return "", nil, nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, nil, err
	}
	s := &Server{Buses: []string{"can0"}, Open: func(context.Context, string) (canbus.Bus, error) { return n.Tap() }}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(ln)
	}()
	return ln.Addr().String(), n, func() {
		ln.Close()
		s.Close()
		<-done
		n.Close()
	}, nil
}

func serveTest(t *testing.T, o virtual.Options) (address string, n *virtual.Network) {
	t.Helper()
	address, n, stop, err := serve(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return address, n
}

func openTest(t *testing.T, address string) *Bus {
	t.Helper()
	b, err := Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// pair makes two clients of one server.
func pair(o virtual.Options) bustest.MakePair {
	return func() (a, b canbus.Bus, stop func(), err error) {
		address, _, stop, err := serve(o)
		if err != nil {
			return nil, nil, nil, err
		}
		if a, err = Open(context.Background(), address+"/can0"); err != nil {
			return nil, nil, nil, err
		}
		b, err = Open(context.Background(), address+"/can0")
		return a, b, stop, err
	}
}

func TestBusConforms(t *testing.T) {
	for name, o := range map[string]virtual.Options{
		"Ideal": {},
		"Echo":  {Echo: true},
	} {
		t.Run(name, func(t *testing.T) {
			bustest.TestBus(t, pair(o), bustest.Options{NoRemote: true})
		})
	}
}

func TestConnIsANetConn(t *testing.T) {
	conntest.Run(t, pair(virtual.Options{}), isotpnet.Config{FD: true})
}

// A script is a server that a test plays: it greets, shows that it knows < echo >, and
// then does what the test says.
func script(t *testing.T, do func(conn net.Conn, r *bufio.Reader)) (address string) {
	return scriptThatAnswers(t, "< echo >", do)
}

// scriptThatAnswers is a script with another answer to the first < echo >.
func scriptThatAnswers(t *testing.T, answer string, do func(conn net.Conn, r *bufio.Reader)) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		io.WriteString(conn, "< hi >")
		for range 2 { // open and rawmode
			r.ReadString('>')
			io.WriteString(conn, "< ok >")
		}
		if got, err := r.ReadString('>'); got != "< echo >" {
			t.Errorf("the client says %q, %v; want < echo >", got, err)
		}
		io.WriteString(conn, answer)
		do(conn, r)
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String() + "/can0"
}

var want = canbus.Frame{ID: 0x7E8, Len: 2, Data: [64]byte{1, 0x3E}}

func wantNext(t *testing.T, b canbus.Bus, want canbus.Frame) {
	t.Helper()
	var got [1]canbus.Frame
	if _, err := b.ReadFrames(got[:]); err != nil {
		t.Fatal(err)
	}
	got[0].Timestamp = 0
	got[0].Flags &^= canbus.Timed
	if got[0] != want {
		t.Errorf("read %v, want %v", got[0], want)
	}
}

func TestGarbageIsLeftOutAndCounted(t *testing.T) {
	release := make(chan struct{})
	b := openTest(t, script(t, func(conn net.Conn, _ *bufio.Reader) {
		io.WriteString(conn, "\x00garbage >< frame 7E8 1.000000 013E >"+
			"< frame 7E8 1.000000 013 >< frame >< nonsense >< >"+
			"< frame 7E8 1.0000< frame 7E8 1.000000 01 3E >"+
			"< "+strings.Repeat("7", 100_000)+" >< error unknown command >< ok >"+
			"< error 080 1.000002 >< frame 7E8 1.000000 013E >")
		<-release
	}))
	wantNext(t, b, want)
	wantNext(t, b, want)
	wantNext(t, b, canbus.Frame{ID: 0x80, Flags: canbus.ErrorFrame, Len: 8})
	wantNext(t, b, want)
	close(release)
	if b.Malformed() != 6 || b.Refused() != 1 {
		t.Errorf("Malformed %d, Refused %d; want 6 and 1", b.Malformed(), b.Refused())
	}
}

// The server goes in the middle of a message: the calls that wait fail, and say why.
func TestServerThatVanishes(t *testing.T) {
	b := openTest(t, script(t, func(conn net.Conn, r *bufio.Reader) {
		if first, _ := r.ReadString('>'); first != "< send 7E0 8 1F A0 00 00 00 00 00 00 >" {
			t.Errorf("written %q", first)
		}
	}))
	d := isotpnet.Dialer{Bus: b}
	conn, err := d.DialContext(t.Context(), "isotp:user", "/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	errs := make(chan error, 2)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		_, err := conn.Write(make([]byte, 4000))
		errs <- err
	})
	wg.Go(func() {
		_, err := conn.Read(make([]byte, 10))
		errs <- err
	})
	for range 2 {
		err := <-errs
		if lost, ok := errors.AsType[*canbus.GoneError](err); !ok || errors.Is(err, net.ErrClosed) || lost.Err == nil {
			t.Errorf("error %v, want a GoneError, which is not net.ErrClosed yet", err)
		}
	}
}

// A server that takes nothing holds a write up, which Close ends.
func TestServerThatStalls(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	b := openTest(t, script(t, func(net.Conn, *bufio.Reader) { <-release }))
	ended := make(chan error, 1)
	first := make(chan struct{})
	var once sync.Once
	go func() {
		for {
			_, err := b.WriteFrames(make([]canbus.Frame, 64))
			once.Do(func() { close(first) })
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	<-first
	b.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteFrames: %v", err)
	}
}

func TestServersThatSayNo(t *testing.T) {
	address, _ := serveTest(t, virtual.Options{})
	if _, err := Open(t.Context(), address+"/can1"); err == nil || !strings.Contains(err.Error(), "could not open bus") {
		t.Errorf("a bus that is not served: %v", err)
	}
	for bad, want := range map[string]string{
		"":                 "HOST:PORT/BUS",
		"host/can0":        "HOST:PORT/BUS",
		"host:1":           "HOST:PORT/BUS",
		"host:1/":          "name of a bus",
		"host:1/a b":       "name of a bus",
		"host:1/can0@":     "bit rate",
		"host:1/can0@fast": "bit rate",
	} {
		if _, err := Open(t.Context(), bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v does not tell %q", bad, err, want)
		}
	}
}

// What a client may say that the Bus here never does.
func TestServerAnswersEachCommand(t *testing.T) {
	address, n := serveTest(t, virtual.Options{Classic: true})
	tap, err := n.Tap()
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(conn)
	for _, step := range []struct{ say, want string }{
		{"", "< hi >"},
		{"< rawmode >", "< error unknown command >"},
		{"<open can0>", "< ok >"},
		{"noise < isotpmode > noise", "< error unknown command >"},
		{"< echo >", "< echo >"},
		{"< send 7E8 2 1 3e >< echo >", "< echo >"},
		{"< send 800 0 >", "< error not sent: canbus: identifier 0x800 has more than 11 bits (at most 0x7FF, or set Extended) >"},
		{"< send 123 9 >", "< error not sent: length \"9\" with 0 bytes >"},
		{"< fdsend 123 0 12 0 0 0 0 0 0 0 0 0 0 0 0 >", "< error not sent: virtual: CAN FD frame 123 on a classic CAN bus (leave FD out, or make the network without Options.Classic) >"},
		{"< rawmode >< rawmode >", "< ok >"},
		{"", "< ok >"},
	} {
		fmt.Fprint(conn, step.say)
		got, err := r.ReadString('>')
		if err != nil || got != step.want {
			t.Errorf("%q is answered %q, %v; want %q", step.say, got, err, step.want)
		}
	}
	wantNext(t, tap, want)
}
