package socketcand

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/wine/winetest"
)

// A daemon is a server as socketcand is, one client's process: it does what it is told
// in order.
type daemon struct {
	// send is called for each frame to be sent, and returns what is said to that;
	// false to end the connection, as socketcand does when the interface's queue is full.
	send func(words []string) (say string, ok bool)
	// echo is what an < echo > is answered after greeting; nil: < echo >.
	echo func() (say string)
	// deaf: CAN FD is not known.
	deaf bool
}

// serve is a client's process. It returns how many frames it was told to send.
func (d *daemon) serve(conn net.Conn) (frames int) {
	defer conn.Close()
	io.WriteString(conn, "< hi >")
	c := client{conn: conn, buf: make([]byte, 8290)}
	c.changed.L = &c.mu
	for {
		words, err := c.element()
		if err != nil {
			return frames
		}
		say := "< ok >"
		switch command(words) {
		case "open", "rawmode":
		case "echo":
			if say = "< echo >"; d.echo != nil {
				say = d.echo()
			}
		case "fdsend", "send":
			if command(words) == "fdsend" && d.deaf {
				say = "< error unknown command >"
				break
			}
			frames++
			say = ""
			if d.send == nil {
				break
			}
			ok := true
			if say, ok = d.send(words); !ok {
				return frames
			}
		}
		if say == "" {
			continue
		}
		if _, err := io.WriteString(conn, say); err != nil {
			return frames
		}
	}
}

// listen serves one client over TCP.
func (d *daemon) listen(t *testing.T) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if conn, err := ln.Accept(); err == nil {
			d.serve(conn)
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String() + "/can0"
}

// client opens a bus of it within a bubble. The function returned waits for its end.
func (d *daemon) client(t *testing.T) (*Bus, func()) {
	t.Helper()
	ours, theirs := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { d.serve(theirs) })
	b, err := open(context.Background(), ours, "HOST:1/can0", "can0", 0)
	if err != nil {
		t.Fatal(err)
	}
	return b, wg.Wait
}

func numbered(n int) []canbus.Frame {
	frames := make([]canbus.Frame, n)
	for i := range frames {
		frames[i] = canbus.Frame{ID: 0x100, Len: 2, Data: [64]byte{byte(i), byte(i >> 8)}}
	}
	return frames
}

// The server goes on until the fourth of a message's 29 frames, which its interface has no
// room for: the message is not sent, whatever TCP has taken.
func TestConnectionThatEndsFailsTheWrite(t *testing.T) {
	count := 0
	d := daemon{send: func([]string) (string, bool) {
		count++
		if count == 1 {
			return "< frame 7E8 1.000000 300000 >", true // Clear To Send
		}
		return "", count <= 3
	}}
	b := openTest(t, d.listen(t))
	dialer := isotpnet.Dialer{Bus: b}
	conn, err := dialer.DialContext(t.Context(), "isotp:user", "/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = conn.Write(make([]byte, 200))
	lost, ok := errors.AsType[*canbus.GoneError](err)
	if !ok || lost.InDoubt == 0 || !strings.Contains(err.Error(), "@500000") {
		t.Errorf("Write: %v, want a GoneError that says how many frames are in doubt, and what helps", err)
	}
}

// wantEchoes reads that many frames, which are all echoes, and returns their flags but Echo.
func wantEchoes(t *testing.T, b canbus.Bus, want ...canbus.Frame) []canbus.Flags {
	t.Helper()
	var flags []canbus.Flags
	buf := make([]canbus.Frame, 64)
	for len(flags) < len(want) {
		n, err := b.ReadFrames(buf)
		if err != nil {
			t.Fatalf("after %d echoes of %d: %v", len(flags), len(want), err)
		}
		for _, f := range buf[:n] {
			if !f.Has(canbus.Echo) {
				t.Fatalf("%v is no echo", f)
			}
			flags = append(flags, f.Flags&canbus.Refused)
			f.Flags &^= canbus.Echo | canbus.Refused
			if w := want[len(flags)-1]; f != w {
				t.Fatalf("echo %d is %v, want %v", len(flags)-1, f, w)
			}
		}
	}
	return flags
}

// Echoes come when the answer to the < echo > behind the batch has come, not before.
func TestEchoesComeWithTheProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := false
		d := daemon{echo: func() string {
			if slow {
				time.Sleep(700 * time.Millisecond)
			}
			slow = true
			return "< echo >"
		}}
		b, wait := d.client(t)
		defer wait()
		defer b.Close()
		if p := b.Properties(); !p.Echo || !p.EchoAtHandover || p.QueueLen != 128 {
			t.Errorf("properties %+v", p)
		}
		start := time.Now()
		frames := numbered(3)
		if n, err := b.WriteFrames(frames); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		wantEchoes(t, b, frames...)
		if d := time.Since(start); d != 700*time.Millisecond {
			t.Errorf("echoes after %v", d)
		}
	})
}

// Close waits for what Write has reported: with a proof every 700 ms it goes on.
func TestCloseWaitsForTheProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, count := true, 0
		d := daemon{
			send: func([]string) (string, bool) { count++; return "", true },
			echo: func() string {
				if !first {
					time.Sleep(700 * time.Millisecond)
				}
				first = false
				return "< echo >"
			},
		}
		b, wait := d.client(t)
		for range 3 {
			if n, err := b.WriteFrames(numbered(2)); n != 2 || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		wait()
		if count != 6 {
			t.Errorf("%d of 6 frames sent before Close returned", count)
		}
	})
}

// stuck opens a bus whose server answers the first < echo > only.
func stuck(t *testing.T) (b *Bus, end func()) {
	t.Helper()
	answered := false
	release := make(chan struct{})
	d := daemon{echo: func() string {
		if answered {
			<-release
		}
		answered = true
		return "< echo >"
	}}
	b, wait := d.client(t)
	return b, func() { close(release); wait() }
}

func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, end := stuck(t)
		defer end()
		if n, err := b.WriteFrames(numbered(5)); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		start := time.Now()
		if err := b.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "the last 5 frames") {
			t.Errorf("Flush: %v", err)
		}
		if err := b.Close(); err == nil || !strings.Contains(err.Error(), "the last 5 frames") {
			t.Errorf("Close: %v", err)
		}
		if d := time.Since(start); d != proofTime {
			t.Errorf("both took %v", d)
		}
		if err := b.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

func TestFlushEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, end := stuck(t)
		defer end()
		defer b.Close()
		if _, err := b.WriteFrames(numbered(5)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := b.Flush(ctx); err != context.DeadlineExceeded {
			t.Errorf("Flush: %v", err)
		}
	})
}

func TestFlushEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := daemon{send: func([]string) (string, bool) { return "", false }}
		b, wait := d.client(t)
		defer wait()
		defer b.Close()
		go b.WriteFrames(numbered(1))
		synctest.Wait()
		lost, ok := errors.AsType[*canbus.GoneError](b.Flush(t.Context()))
		if !ok || lost.InDoubt != 1 {
			t.Errorf("Flush: %v", lost)
		}
	})
}

// WriteFrames does not go on for ever ahead of a server that says nothing.
func TestWriteWaitsForProofs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, end := stuck(t)
		defer end()
		written := 0
		ended := make(chan error)
		go func() {
			for {
				n, err := b.WriteFrames(numbered(50))
				written += n
				if err != nil {
					ended <- err
					return
				}
			}
		}()
		synctest.Wait()
		b.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) || written > window {
			t.Errorf("%d frames written, then %v", written, err)
		}
	})
}

// Of a batch in which a frame was refused none counts as sent; from then on it is clear
// which one is.
func TestFramesThatTheServerRefuses(t *testing.T) {
	d := daemon{send: func(words []string) (string, bool) {
		if words[3] == "01" {
			return "< error not sent: bus off >", true
		}
		return "", true
	}}
	b := openTest(t, d.listen(t))
	frames := numbered(4)
	for i, want := range [][]canbus.Flags{
		{canbus.Refused, canbus.Refused, canbus.Refused, canbus.Refused},
		{0, canbus.Refused, 0, 0},
	} {
		if n, err := b.WriteFrames(frames); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		if flags := wantEchoes(t, b, frames...); !slices.Equal(flags, want) {
			t.Errorf("batch %d: %v, want %v", i, flags, want)
		}
	}
	if b.Refused() != 2 {
		t.Errorf("Refused %d", b.Refused())
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Errorf("Flush: %v", err)
	}
}

// A message of which the server refuses a frame is not sent, whichever frame that is.
func TestWriteFailsWhenTheServerRefusesAFrame(t *testing.T) {
	for _, bad := range []int{1, 2, 15, 29} {
		count := 0
		d := daemon{send: func([]string) (string, bool) {
			say := ""
			if count++; count == 1 {
				say = "< frame 7E8 1.000000 300000 >" // Clear To Send
			}
			if count == bad {
				say = "< error not sent: bus off >" + say
			}
			return say, true
		}}
		dialer := isotpnet.Dialer{Bus: openTest(t, d.listen(t))}
		conn, err := dialer.DialContext(t.Context(), "isotp:user", "/7E0:7E8")
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Write(make([]byte, 200))
		if _, ok := errors.AsType[*canbus.RefusedError](err); !ok {
			t.Errorf("frame %d refused: Write returns %v", bad, err)
		}
		conn.Close()
	}
}

// Released versions of socketcand send no CAN FD frames: the error says so, and classic
// frames are sent as before.
func TestServerWithoutFD(t *testing.T) {
	d := daemon{deaf: true}
	b := openTest(t, d.listen(t))
	fd := canbus.Frame{ID: 0x123, Flags: canbus.FD, Len: 12}
	classic := numbered(2)
	for range 2 {
		if n, err := b.WriteFrames([]canbus.Frame{classic[0], fd, classic[1]}); n != 1 || err != nil {
			t.Errorf("the frame before: %d, %v", n, err)
		}
		n, err := b.WriteFrames([]canbus.Frame{fd, classic[1]})
		if n != 0 || err == nil || !strings.Contains(err.Error(), "unknown command") || errors.Is(err, canbus.ErrTemporary) {
			t.Errorf("the CAN FD frame: %d, %v", n, err)
		}
		if n, err := b.WriteFrames(classic); n != 2 || err != nil {
			t.Errorf("after it: %d, %v", n, err)
		}
		if flags := wantEchoes(t, b, classic[0], classic[0], classic[1]); slices.Max(flags) != 0 {
			t.Errorf("echoes %v", flags)
		}
	}
	if b.Refused() != 1 {
		t.Errorf("asked %d times", b.Refused())
	}
}

func TestFDFramesGoTogetherOnceOneWasSent(t *testing.T) {
	b := openTest(t, new(daemon).listen(t))
	fd := canbus.Frame{ID: 0x123, Flags: canbus.FD, Len: 12}
	for i, want := range []int{1, 3} {
		if n, err := b.WriteFrames([]canbus.Frame{fd, fd, fd}); n != want || err != nil {
			t.Errorf("write %d: %d, %v", i, n, err)
		}
	}
}

// A server that does not know < echo > proves nothing, and says so.
func TestServerThatRefusesEcho(t *testing.T) {
	for _, answer := range []string{"< error unknown command >", "< error >"} {
		b := openTest(t, (&daemon{echo: func() string { return answer }}).listen(t))
		if b.Properties().Echo {
			t.Errorf("%s: there are echoes", answer)
		}
		if n, err := b.WriteFrames(numbered(3)); n != 3 || err != nil {
			t.Errorf("%s: %d, %v", answer, n, err)
		}
	}
}

// One that says nothing is waited for at Open, once. Close has it read all.
func TestServerThatIsSilentAtEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		late := false
		d := daemon{echo: func() string {
			if !late {
				late = true
				time.Sleep(2*echoTime + time.Second)
				return "< echo >< frame 7E8 1.000000 013E >"
			}
			return ""
		}}
		b, wait := d.client(t)
		defer wait()
		defer b.Close()
		if d := time.Since(start); d != echoTime || b.Properties().Echo {
			t.Errorf("open after %v, properties %+v", d, b.Properties())
		}
		wantNext(t, b, want)
		if err := b.Flush(t.Context()); err != nil {
			t.Errorf("Flush: %v", err)
		}
	})
}

// Without proofs Close ends the way there, and waits until the server has read all.
func TestCloseOfAServerWithoutEcho(t *testing.T) {
	winetest.Fault(t, "it takes longer for 4000 small segments than Close waits")
	got := make(chan int, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d := daemon{
		echo: func() string { return "< error >" },
		// What the client does not read would end the connection, if that closed it.
		send: func([]string) (string, bool) { return "< frame 7E8 1.000000 013E >", true },
	}
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			got <- -1
			return
		}
		got <- d.serve(conn)
	}()
	b := openTest(t, ln.Addr().String()+"/can0")
	const count = 2000
	for _, f := range numbered(count) {
		if _, err := b.WriteFrames([]canbus.Frame{f}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if n := <-got; n != count {
		t.Errorf("%d frames of %d sent", n, count)
	}
}

// Frames that no caller reads are dropped and counted; the echo of a frame that was sent is
// delivered all the same.
func TestFramesDroppedForASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = queueLen + 1000
		text := strings.Repeat("< frame 7E8 1.000000 013E >", count)
		d := daemon{send: func([]string) (string, bool) { return text + "< error dropped 17 frames >", true }}
		b, wait := d.client(t)
		defer wait()
		defer b.Close()
		if _, err := b.WriteFrames(numbered(1)); err != nil {
			t.Fatal(err)
		}
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		read := 0
		buf := make([]canbus.Frame, 1000)
		for echoed := false; !echoed; {
			n, err := b.ReadFrames(buf)
			if err != nil {
				t.Fatal(err)
			}
			read += n
			echoed = buf[n-1].Has(canbus.Echo)
		}
		if read--; uint64(read)+b.Dropped() != count+17 || b.Dropped() != 1017 || b.Refused() != 0 {
			t.Errorf("%d frames read, %d dropped, of %d and 17 of the server's; %d refused", read, b.Dropped(), count, b.Refused())
		}
	})
}

// What came before the connection was lost can be read.
func TestFramesBeforeTheEndAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := daemon{send: func([]string) (string, bool) { return "", false }}
		ours, theirs := net.Pipe()
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { d.serve(theirs) })
		b, err := open(context.Background(), ours, "HOST:1/can0", "can0", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		io.WriteString(theirs, "< frame 7E8 1.000000 013E >")
		theirs.Close()
		synctest.Wait()
		wantNext(t, b, want)
		if _, err := b.ReadFrames(make([]canbus.Frame, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("then %v", err)
		}
	})
}

// At each step of the protocol's beginning.
func TestContextEndsTheOpening(t *testing.T) {
	for step, words := range []string{"hi", "open", "rawmode", "echo"} {
		t.Run(words, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var wg sync.WaitGroup
				wg.Go(func() {
					defer theirs.Close()
					buf := make([]byte, 100)
					for _, answer := range []string{"< hi >", "< ok >", "< ok >"}[:step] {
						io.WriteString(theirs, answer)
						if _, err := theirs.Read(buf); err != nil {
							t.Error(err)
						}
					}
					cancel()
					if _, err := theirs.Read(buf); err == nil {
						t.Error("the connection is still used")
					}
				})
				if b, err := open(ctx, ours, "HOST:1/can0", "can0", 0); b != nil || !errors.Is(err, context.Canceled) {
					t.Errorf("open: %v, %v", b, err)
				}
				wg.Wait()
			})
		})
	}
}
