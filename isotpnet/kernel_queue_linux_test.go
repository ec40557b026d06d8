package isotpnet

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// numbered returns a message that begins with its number.
func numbered(i, size int) []byte {
	return binary.BigEndian.AppendUint32(make([]byte, 0, size), uint32(i))[:size]
}

// socketBuffer is a Dialer's Control that makes the sockets' buffers so large.
func socketBuffer(size int) func(_, _ string, raw syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) (err error) {
		raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, size) })
		return err
	}
}

// queued waits until so many messages have been taken out of the socket.
func queued(t *testing.T, c *Conn, messages int) {
	t.Helper()
	for range 10_000 {
		if c.Stats().MessagesReceived >= uint64(messages) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%d messages received, want %d", c.Stats().MessagesReceived, messages)
}

func TestKernelKeepsWhatNobodyReads(t *testing.T) {
	for _, test := range []struct {
		name           string
		sender         string
		config         Config
		messages, size int
	}{
		{"classic", "isotp:kernel", Config{}, 1000, 1024},
		{"FD", "isotp:kernel", Config{FD: true}, 1500, 1200},
		{"from the user backend", "isotp:user", Config{FD: true}, 600, 4095},
		{"Single Frames", "isotp:kernel", Config{}, 1500, 7},
		{"more than a socket may have", "isotp:kernel", Config{FD: true, ReadBuffer: 1 << 30}, 1000, 8000},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := newInterface(t)
			d := &Dialer{Config: test.config, Control: socketBuffer(106_496)}
			c2 := d.mustDial(t, "isotp:kernel", name+"/7E8:7E0")
			c1 := (&Dialer{Config: Config{FD: test.config.FD}}).mustDial(t, test.sender, name+"/7E0:7E8")
			for i := range test.messages {
				if _, err := c1.Write(numbered(i, test.size)); err != nil {
					t.Fatal(err)
				}
				if test.size < 8 && i >= 50 {
					queued(t, c2, i-50) // nothing else holds up Single Frames
				}
			}
			buf := make([]byte, test.size)
			for i := range test.messages {
				n, info, err := c2.ReadMessage(buf)
				if err != nil || n != test.size || info.Size != int64(n) || info.Last.IsZero() || binary.BigEndian.Uint32(buf) != uint32(i) {
					t.Fatalf("message %d: number %d, %d bytes, %+v, %v", i, binary.BigEndian.Uint32(buf), n, info, err)
				}
			}
			if s := c2.Stats(); s.MessagesReceived != uint64(test.messages) || s.Errors[CodeReceiverFull] != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Reads that follow each other take their messages from the socket, and each leaves
// another one behind here.
func TestKernelKeepsWhatASlowReaderHasNotRead(t *testing.T) {
	name := newInterface(t)
	c2 := (&Dialer{Control: socketBuffer(64 << 10)}).mustDial(t, "isotp:kernel", name+"/7E8:7E0")
	c1 := new(Dialer).mustDial(t, "isotp:kernel", name+"/7E0:7E8")
	buf := make([]byte, 500)
	read := func(want int) {
		t.Helper()
		if _, err := c2.Read(buf); err != nil || binary.BigEndian.Uint32(buf) != uint32(want) {
			t.Fatalf("message %d: number %d, %v", want, binary.BigEndian.Uint32(buf), err)
		}
	}
	const messages = 2000
	for i := range messages {
		if _, err := c1.Write(numbered(i, 500)); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			read(i / 2)
		}
	}
	for i := messages / 2; i < messages; i++ {
		read(i)
	}
}

func TestKernelOverrunIsReportedWhereItHappened(t *testing.T) {
	for _, test := range []struct {
		name string
		size int
		kept int // at least
	}{{"Single Frames", 4, 100}, {"longer messages", 1000, 100}} {
		t.Run(test.name, func(t *testing.T) {
			name := newInterface(t)
			d := &Dialer{Config: Config{ReadBuffer: test.kept * (test.size + 64)}, Control: socketBuffer(1)}
			c2 := d.mustDial(t, "isotp:kernel", name+"/7E8:7E0")
			c1 := new(Dialer).mustDial(t, "isotp:kernel", name+"/7E0:7E8")
			const messages = 300
			for i := range messages {
				if _, err := c1.Write(numbered(i, test.size)); err != nil {
					t.Fatal(err)
				}
				if i < test.kept {
					queued(t, c2, i+1)
				}
			}
			buf := make([]byte, test.size)
			next, read, losses := 0, 0, 0
			afterGap := false
			c2.SetReadDeadline(time.Now().Add(time.Second))
			for {
				_, err := c2.Read(buf)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					break
				}
				if errors.Is(err, ErrOverrun) {
					wantError(t, err, ErrOverrun)
					losses++
					afterGap = true
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				i := int(binary.BigEndian.Uint32(buf))
				if i < next || (i > next) != afterGap {
					t.Fatalf("message %d, want %d; after an overrun: %v", i, next, afterGap)
				}
				next, afterGap = i+1, false
				if read++; read <= test.kept && i != read-1 {
					t.Fatalf("message %d as number %d: it was within ReadBuffer", i, read-1)
				}
			}
			lost := int(c2.Stats().Errors[CodeReceiverFull])
			if losses == 0 || lost == 0 || lost+read != messages {
				t.Errorf("%d overruns, %d lost and %d read of %d", losses, lost, read, messages)
			}
			// There is room again.
			c2.SetReadDeadline(time.Time{})
			if _, err := c1.Write(numbered(messages, test.size)); err != nil {
				t.Fatal(err)
			}
			if _, err := c2.Read(buf); err != nil || binary.BigEndian.Uint32(buf) != messages {
				t.Errorf("the next: number %d, %v", binary.BigEndian.Uint32(buf), err)
			}
		})
	}
}

func TestKernelQueueIsReadInEveryWay(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	peer.send("7E8#0741424344454647", "7E8#0178", "7E8#03313233", "7E8#0179", "7E8#017A")
	queued(t, c, 5)

	c.SetReadDeadline(time.Unix(1, 0)) // a past deadline ends a Read also where messages are
	_, err := c.Read(make([]byte, 8))
	wantError(t, err, os.ErrDeadlineExceeded)
	_, err = c.AwaitMessage()
	wantError(t, err, os.ErrDeadlineExceeded)
	_, _, err = c.NextReader()
	wantError(t, err, os.ErrDeadlineExceeded)
	c.SetReadDeadline(time.Time{})

	if info, err := c.AwaitMessage(); err != nil || info.Size != 7 || info.Rest != 7 || info.First.IsZero() {
		t.Errorf("AwaitMessage: %+v, %v", info, err)
	}
	p := make([]byte, 3)
	for _, want := range []string{"ABC", "DEF", "G", "x"} {
		if n, err := c.Read(p); string(p[:n]) != want || err != nil {
			t.Errorf("read %q, %v; want %q", p[:n], err, want)
		}
	}
	r, info, err := c.NextReader()
	if err != nil || info.Size != 3 {
		t.Fatalf("NextReader: %+v, %v", info, err)
	}
	if b, err := io.ReadAll(r); string(b) != "123" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if n, err := c.Drain(); n != 2 || err != nil {
		t.Errorf("Drain: %d, %v", n, err)
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err = c.Read(p)
	wantError(t, err, os.ErrDeadlineExceeded)
}

// What is set while the socket is being emptied must hold for the Read after it.
func TestKernelDeadlineOfAReadAfterAPause(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	for range 20 {
		peer.send("7E8#0178")
		queued(t, c, 1)
		if _, err := c.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(8 * time.Millisecond) // the drainer stands at the socket now
		c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		within(t, 2*time.Second, "Read", func() {
			_, err := c.Read(make([]byte, 8))
			wantError(t, err, os.ErrDeadlineExceeded)
		})
		c.SetReadDeadline(time.Time{})
		read := make(chan error, 1)
		go func() { _, err := c.Read(make([]byte, 8)); read <- err }()
		time.Sleep(2 * time.Millisecond)
		peer.send("7E8#0178")
		must(t, <-read)
	}
}

func TestKernelTraceTellsWhatNobodyReads(t *testing.T) {
	received := make(chan TraceEvent, 1)
	_, peer := kernelAndPeer(t, &Dialer{Config: Config{Trace: &Trace{
		MessageReceived: func(e TraceEvent) { received <- e },
	}}})
	for range 3 {
		time.Sleep(2 * time.Millisecond)
		peer.send("7E8#0178")
		select {
		case <-received:
		case <-time.After(5 * time.Second):
			t.Fatal("nothing is told")
		}
	}
}

func TestKernelCloseWhileTheSocketIsBeingEmptied(t *testing.T) {
	name := newInterface(t)
	peer := newRawPeer(t, name)
	round := func(wait time.Duration) {
		c := new(Dialer).mustDial(t, "isotp:kernel", name+"/7E0:7E8")
		peer.send("7E8#0178")
		time.Sleep(wait)
		within(t, 500*time.Millisecond, "Close", func() { c.Close() })
		_, err := c.Read(make([]byte, 8))
		wantError(t, err, net.ErrClosed)
	}
	round(0)
	goroutines := runtime.NumGoroutine()
	for i := range 20 {
		round(time.Duration(i) * 500 * time.Microsecond)
	}
	for n := runtime.NumGoroutine(); n > goroutines; n = runtime.NumGoroutine() {
		time.Sleep(time.Millisecond) // those that end; the test's time limit finds the others
	}
}

// A listener's socket goes to the next connection with nothing of the one before.
func TestKernelListenerTakesBackAFullQueue(t *testing.T) {
	name := newInterface(t)
	l, err := Listen("isotp:kernel", name+"/7E8:7E0")
	must(t, err)
	defer l.Close()
	c := new(Dialer).mustDial(t, "isotp:kernel", name+"/7E0:7E8")
	buf := make([]byte, 600)
	for round := range 5 {
		first := 1000 * round
		write := func(i int) {
			if _, err := c.Write(numbered(first+i, 500)); err != nil {
				t.Fatal(err)
			}
		}
		write(0)
		a, err := l.Accept()
		must(t, err)
		for i := 1; i < 1000; i++ { // more than a socket has room for
			write(i)
		}
		for i := range 900 {
			if _, err := a.Read(buf); err != nil || binary.BigEndian.Uint32(buf) != uint32(first+i) {
				t.Fatalf("message %d: number %d, %v", first+i, binary.BigEndian.Uint32(buf), err)
			}
		}
		a.Close()
	}
}
