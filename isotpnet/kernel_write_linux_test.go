package isotpnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/isotp/test/vm/cantest"
)

// kernelAndPeer returns a connection of the kernel's backend, and its peer.
func kernelAndPeer(t testing.TB, d *Dialer) (*Conn, *rawPeer) {
	t.Helper()
	name := newInterface(t)
	peer := newRawPeer(t, name)
	return d.mustDial(t, "isotp:kernel", name+"/7E0:7E8"), peer
}

// writing begins a Write and returns where its error comes.
func writing(c *Conn, p []byte) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := c.Write(p)
		done <- err
	}()
	return done
}

func wantCode(t *testing.T, err error, code Code) {
	t.Helper()
	if e, ok := errors.AsType[*ProtocolError](err); !ok || e.Code != code {
		t.Fatalf("error %v, want %v", err, code)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	if _, ok := err.(*net.OpError); !ok {
		t.Fatalf("error %#v, want a *net.OpError", err)
	}
}

var twenty = []byte("abcdefghijklmnopqrst")

func TestKernelWriteReturnsWhenTheLastFrameIsSent(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	done := writing(c, twenty)
	peer.expect("7E0#1014616263646566")
	select {
	case err := <-done:
		t.Fatalf("returned %v before the flow control", err)
	default:
	}
	peer.send("7E8#30010000")
	peer.expect("7E0#216768696A6B6C6D")
	select {
	case err := <-done:
		t.Fatalf("returned %v before the second flow control", err)
	default:
	}
	peer.send("7E8#30000000")
	peer.expect("7E0#226E6F7071727374")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.MessagesSent != 1 || s.BytesSent != 20 {
		t.Errorf("stats %+v", s)
	}
}

func TestKernelWriteToASilentPeer(t *testing.T) {
	c, _ := kernelAndPeer(t, &Dialer{})
	var err error
	within(t, 1500*time.Millisecond, "Write", func() { _, err = c.Write(twenty) })
	wantCode(t, err, CodeTimeoutBs)
	if e := err.(net.Error); !e.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v: Timeout %v", err, e.Timeout())
	}
	if s := c.Stats(); s.SendsAborted != 1 || s.Errors[CodeTimeoutBs] != 1 || s.MessagesSent != 0 {
		t.Errorf("stats %+v", s)
	}
	if _, err := c.Write([]byte{1}); err != nil {
		t.Errorf("the next: %v", err)
	}
}

func TestKernelWriteRefusedByThePeer(t *testing.T) {
	for _, test := range []struct {
		name, flowControl string
		code              Code
	}{
		{"OVFLW", "7E8#320000", CodeBufferOverflow},
		{"too short", "7E8#3000", CodeInvalidFS},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, peer := kernelAndPeer(t, &Dialer{})
			done := writing(c, twenty)
			peer.next()
			peer.send(test.flowControl)
			wantCode(t, <-done, test.code)
		})
	}
}

// A Read that waits is handed the error of a Write by the kernel. Each must have
// its own.
func TestKernelErrorsReachTheirOwners(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	read := make(chan error, 1)
	go func() {
		n, err := c.Read(make([]byte, 10))
		if n != 1 {
			err = errors.New("no message")
		}
		read <- err
	}()
	for range 20 {
		done := writing(c, twenty)
		peer.next()
		peer.send("7E8#320000")
		wantCode(t, <-done, CodeBufferOverflow)
	}
	// And a reception's error must not end a Write.
	for range 20 {
		done := writing(c, twenty)
		peer.next()
		peer.send("7E8#1014010203040506", "7E8#2301020304050607") // wrong SN
		peer.next()                                               // our flow control
		peer.send("7E8#300000")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		peer.expect("7E0#216768696A6B6C6D", "7E0#226E6F7071727374")
	}
	if s := c.Stats(); s.Errors[CodeWrongSN] != 20 || s.ReceptionsAborted != 20 {
		t.Errorf("stats %+v, want 20 wrong SN", s)
	}
	peer.send("7E8#01AA")
	if err := <-read; err != nil {
		t.Fatal(err)
	}
}

func TestKernelWriteDeadlineInMidMessage(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := c.Write(twenty)
	wantError(t, err, os.ErrDeadlineExceeded)
	peer.expect("7E0#1014616263646566")

	// The kernel still has that message; the next has to wait for its end.
	c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	_, err = c.Write([]byte{1})
	wantError(t, err, os.ErrDeadlineExceeded)
	c.SetWriteDeadline(time.Time{})
	done := writing(c, []byte{2})
	peer.send("7E8#300000")
	peer.expect("7E0#216768696A6B6C6D", "7E0#226E6F7071727374", "7E0#0102CCCCCCCCCCCC")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestKernelLateErrorOfAnAbandonedMessageIsNotTheNextOnes(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	_, err := c.Write(twenty)
	wantError(t, err, os.ErrDeadlineExceeded)
	c.SetWriteDeadline(time.Time{})
	done := writing(c, []byte{2})
	peer.next()
	peer.send("7E8#320000")
	peer.expect("7E0#0102CCCCCCCCCCCC")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestKernelCloseIsSoonWhateverThePeerDoes(t *testing.T) {
	for _, test := range []struct {
		name  string
		flows []string
	}{
		{"silent", nil},
		{"WAIT", []string{"7E8#310000"}},
		{"STmin 127 ms", []string{"7E8#30007F"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, peer := kernelAndPeer(t, &Dialer{})
			done := writing(c, make([]byte, 4095))
			peer.next()
			peer.send(test.flows...)
			within(t, 500*time.Millisecond, "Close", func() {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
			wantError(t, <-done, net.ErrClosed)
		})
	}
}

func TestKernelCloseAfterAnAbandonedMessage(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	c.Write(twenty)
	peer.next()
	peer.send("7E8#310000")
	within(t, 500*time.Millisecond, "Close", func() { c.Close() })
}

func TestKernelCloseUnblocksReaders(t *testing.T) {
	c, _ := kernelAndPeer(t, &Dialer{})
	errs := make(chan error)
	for range 3 {
		go func() {
			_, err := c.Read(make([]byte, 10))
			errs <- err
		}()
	}
	c.Close()
	for range 3 {
		wantError(t, <-errs, net.ErrClosed)
	}
	for name, f := range map[string]func() error{
		"Read":          func() error { _, err := c.Read(make([]byte, 1)); return err },
		"Write":         func() error { _, err := c.Write([]byte{1}); return err },
		"SetDeadline":   func() error { return c.SetDeadline(time.Time{}) },
		"SyscallConn":   func() error { _, err := c.SyscallConn(); return err },
		"NextReader":    func() error { _, _, err := c.NextReader(); return err },
		"SendFrom":      func() error { return c.SendFrom(strings.NewReader("abc"), 3) },
		"ReadMessage":   func() error { _, _, err := c.ReadMessage(make([]byte, 1)); return err },
		"WriteDeadline": func() error { return c.SetWriteDeadline(time.Now()) },
	} {
		t.Run(name, func(t *testing.T) { wantError(t, f(), net.ErrClosed) })
	}
	if err := c.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

func TestKernelInterfaceDownInMidMessage(t *testing.T) {
	name := newInterface(t)
	peer := newRawPeer(t, name)
	c := new(Dialer).mustDial(t, "isotp:kernel", name+"/7E0:7E8")
	read := make(chan error, 1)
	go func() { _, err := c.Read(make([]byte, 10)); read <- err }()
	done := writing(c, twenty)
	peer.next()
	must(t, cantest.SetLink(name, false))
	within(t, 3*time.Second, "Write", func() { wantError(t, <-done, syscall.ENETDOWN) })
	within(t, 3*time.Second, "Read", func() { wantError(t, <-read, syscall.ENETDOWN) })
	_, err := c.Write([]byte{1})
	if err == nil {
		t.Error("a Write succeeds")
	}

	must(t, cantest.SetLink(name, true))
	peer = newRawPeer(t, name)
	within(t, 4*time.Second, "Write", func() { _, err = c.Write([]byte{2}) })
	if err != nil {
		t.Fatalf("Write after the interface is up: %v", err)
	}
	peer.expect("7E0#0102CCCCCCCCCCCC")
	peer.send("7E8#01AA")
	if n, err := c.Read(make([]byte, 10)); n != 1 || err != nil {
		t.Errorf("Read: %v, %v", n, err)
	}
}

func TestKernelInterfaceDeletedInMidMessage(t *testing.T) {
	name := newInterface(t)
	peer := newRawPeer(t, name)
	c := new(Dialer).mustDial(t, "isotp:kernel", name+"/7E0:7E8")
	read := make(chan error, 1)
	go func() {
		for {
			// It goes down first.
			if _, err := c.Read(make([]byte, 10)); !errors.Is(err, syscall.ENETDOWN) {
				read <- err
				return
			}
		}
	}()
	done := writing(c, twenty)
	peer.next()
	must(t, cantest.DeleteLink(name))
	within(t, 3*time.Second, "Write", func() {
		if err := <-done; !errors.Is(err, syscall.ENETDOWN) && !errors.Is(err, syscall.ENODEV) {
			t.Errorf("Write: %v", err)
		}
	})
	within(t, 3*time.Second, "Read", func() { wantError(t, <-read, syscall.ENODEV) })
	for range 2 {
		_, err := c.Read(make([]byte, 10))
		wantError(t, err, syscall.ENODEV)
		wantError(t, err, net.ErrClosed)
		if !Final(err) {
			t.Errorf("%v is not final", err)
		}
		c.SetWriteDeadline(time.Now().Add(3 * time.Second))
		_, err = c.Write([]byte{1})
		wantError(t, err, syscall.ENODEV)
	}
	_, err := c.Write([]byte{1})
	wantError(t, err, net.ErrClosed)
	within(t, 500*time.Millisecond, "Close", func() { c.Close() })
}

func TestKernelOversize(t *testing.T) {
	c1, c2 := kernelPair(t, &Dialer{})
	running, err := ProbeKernel()
	must(t, err)
	limit := running.MaxMessageSize
	t.Logf("limit %d", limit)
	_, err = c1.Write(make([]byte, limit+1))
	wantError(t, err, ErrMessageTooLong)
	wantError(t, err, syscall.EMSGSIZE)
	if e, _ := errors.AsType[*MessageTooLongError](err); e == nil || e.Max != limit || e.Size != limit+1 ||
		!strings.Contains(err.Error(), "max_pdu_size") || !strings.Contains(err.Error(), "isotp:user") || !strings.Contains(err.Error(), "Config.SplitWrites") {
		t.Errorf("%v", err)
	}
	wantError(t, c1.SendFrom(strings.NewReader(""), limit+1), ErrMessageTooLong)

	c1.SetDeadline(time.Now().Add(20 * time.Second))
	c2.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c1.Write(make([]byte, limit)); err != nil {
		t.Fatalf("%d bytes: %v", limit, err)
	}
	n, info, err := c2.ReadMessage(make([]byte, limit))
	if int64(n) != limit || info.Size != limit || err != nil {
		t.Errorf("read %d of %d: %v", n, info.Size, err)
	}
}

func TestKernelSplitWrites(t *testing.T) {
	c1, c2 := kernelPair(t, &Dialer{Config: Config{SplitWrites: true}})
	c1.SetDeadline(time.Now().Add(20 * time.Second))
	c2.SetDeadline(time.Now().Add(20 * time.Second))
	sent := bytes.Repeat([]byte("0123456789"), 2000)
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(c1, bytes.NewReader(sent))
		done <- err
	}()
	var sizes []int
	var got []byte
	p := make([]byte, 5000)
	for len(got) < len(sent) {
		n, err := c2.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		sizes, got = append(sizes, n), append(got, p[:n]...)
	}
	if err := <-done; err != nil || !bytes.Equal(got, sent) || !slices.Equal(sizes, []int{4095, 4095, 4095, 4095, 3620}) {
		t.Errorf("%v; messages of %v bytes, right: %v", err, sizes, bytes.Equal(got, sent))
	}
}

func TestKernelSplitWriteDeadlineIsForTheWhole(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{Config: Config{SplitWrites: true, MaxSendSize: 8}})
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := c.Write(make([]byte, 30))
		done <- result{n, err}
	}()
	for range 2 {
		peer.expect("7E0#1008000000000000")
		peer.send("7E8#300000")
		peer.expect("7E0#210000CCCCCCCCCC")
	}
	peer.expect("7E0#1008000000000000")
	c.SetWriteDeadline(time.Now())
	r := <-done
	wantError(t, r.err, os.ErrDeadlineExceeded)
	if r.n != 16 {
		t.Errorf("n is %d, want 16: two messages were sent whole", r.n)
	}
}

func TestKernelFunctional(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{Functional: MustParseAddr("/7DF:")})
	for range 3 {
		if _, err := c.WriteFunctional([]byte{0x3E, 0x80}); err != nil {
			t.Fatal(err)
		}
		peer.expect("7DF#023E80CCCCCCCCCC")
	}
	_, err := c.WriteFunctional(make([]byte, 8))
	wantError(t, err, ErrMessageTooLong)
	if s := c.Stats(); s.MessagesSent != 3 {
		t.Errorf("stats %+v", s)
	}
}

func TestKernelFunctionalWithoutAddress(t *testing.T) {
	c, _ := kernelAndPeer(t, &Dialer{})
	_, err := c.WriteFunctional([]byte{1})
	wantError(t, err, ErrNoFunctional)
}

func TestKernelDialsAFunctionalAddress(t *testing.T) {
	name := newInterface(t)
	peer := newRawPeer(t, name)
	c := new(Dialer).mustDial(t, "isotp:kernel", name+"/func:33:F1")
	for range 3 {
		if _, err := c.Write([]byte{1, 2}); err != nil {
			t.Fatal(err)
		}
		peer.expect("18DB33F1#020102CCCCCCCCCC")
	}
	_, err := c.Write(make([]byte, 8))
	wantError(t, err, ErrMessageTooLong)
	_, err = c.Read(make([]byte, 8))
	wantError(t, err, ErrSendOnly)
}

func TestKernelBroadcastsLongMessages(t *testing.T) {
	name := newInterface(t)
	peer := newRawPeer(t, name)
	d := &Dialer{Config: Config{Kernel: KernelOptions{Flags: KernelBroadcast}}}
	c := d.mustDial(t, "isotp", name+"/7DF:")
	if _, err := c.Write(twenty); err != nil {
		t.Fatal(err)
	}
	peer.expect("7DF#1014616263646566", "7DF#216768696A6B6C6D", "7DF#226E6F7071727374")
}

func TestKernelSendFrom(t *testing.T) {
	c1, c2 := kernelPair(t, &Dialer{})
	if err := c1.SendFrom(strings.NewReader("a message of some bytes"), 23); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := c2.Read(buf); string(buf[:n]) != "a message of some bytes" || err != nil {
		t.Errorf("%q, %v", buf[:n], err)
	}
	wantCode(t, c1.SendFrom(strings.NewReader("short"), 23), CodeSourceFailed)
}
