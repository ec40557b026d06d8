package isotpnet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"example.com/isotp/test/vm/cantest"
	"golang.org/x/sys/unix"
)

func TestKernelFullQueueIsWaitedFor(t *testing.T) {
	name := newInterface(t)
	peer := newRawPeer(t, name)
	c := new(Dialer).mustDial(t, "isotp:kernel", name+"/7E0:7E8")
	// There is room for one frame, and each takes 100 ms.
	must(t, cantest.SetQueue(name, 1, 100_000))
	peer.fill()
	if _, err := c.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
}

func TestKernelQueueThatStaysFull(t *testing.T) {
	name := newInterface(t)
	peer := newRawPeer(t, name)
	c := new(Dialer).mustDial(t, "isotp:kernel", name+"/7E0:7E8")
	must(t, cantest.SetQueue(name, 1, 10_000_000))
	peer.fill()
	var err error
	within(t, 2*time.Second, "Write", func() { _, err = c.Write([]byte{1}) })
	wantCode(t, err, CodeTimeoutA)
	c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	within(t, time.Second, "Write", func() { _, err = c.Write([]byte{1}) })
	wantError(t, err, os.ErrDeadlineExceeded)
	within(t, 500*time.Millisecond, "Close", func() { c.Close() })
}

// The kernel does not try again when there is no room for a Consecutive Frame, and
// waits for an echo that cannot come.
func TestKernelQueueFullInMidMessage(t *testing.T) {
	name := newInterface(t)
	peer := newRawPeer(t, name)
	c := new(Dialer).mustDial(t, "isotp:kernel", name+"/7E0:7E8")
	done := writing(c, twenty)
	peer.next()
	must(t, cantest.SetQueue(name, 10, 10_000_000))
	for range 9 {
		peer.send("123#00")
	}
	peer.send("7E8#300000") // the tenth
	var err error
	within(t, 3*time.Second, "Write", func() { err = <-done })
	wantCode(t, err, CodeTimeoutBs)
	must(t, cantest.ResetQueue(name))
	if _, err := c.Write([]byte{1}); err != nil {
		t.Error("the next message: ", err)
	}
	within(t, 500*time.Millisecond, "Close", func() { c.Close() })
}

// fill sends frames until the interface takes no more.
func (p *rawPeer) fill() {
	p.t.Helper()
	frame := make([]byte, mtuClassic)
	for {
		switch _, err := unix.Write(p.fd, frame); err {
		case nil:
		case unix.ENOBUFS:
			return
		default:
			p.t.Fatal(err)
		}
	}
}

func TestKernelPeerThatWaitsForEver(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	c.SetWriteDeadline(time.Now().Add(1500 * time.Millisecond))
	done := writing(c, twenty)
	peer.next()
	waits := time.NewTicker(300 * time.Millisecond)
	defer waits.Stop()
	for {
		select {
		case err := <-done:
			wantError(t, err, os.ErrDeadlineExceeded)
			return
		case <-waits.C:
			peer.send("7E8#310000")
		}
	}
}

// Linux sends as the second error what Go's netpoller has no name for: it has
// an error and nothing to read while a message is being sent.
func TestKernelReadWhileTheSocketIsNotPollable(t *testing.T) {
	c, peer := kernelAndPeer(t, &Dialer{})
	done := writing(c, twenty)
	peer.next()
	for range 5 {
		peer.send("7E8#1014010203040506", "7E8#2301020304050607") // wrong SN
		peer.next()
		c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := c.Read(make([]byte, 10))
		wantError(t, err, os.ErrDeadlineExceeded)
	}
	c.SetReadDeadline(time.Time{})
	read := make(chan error, 1)
	go func() { _, err := c.Read(make([]byte, 10)); read <- err }()
	peer.send("7E8#0178")
	if err := <-read; err != nil {
		t.Error(err)
	}
	peer.send("7E8#300000")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestKernelErrorOfTheInterfaceWakesAReader(t *testing.T) {
	for range 20 {
		name := newInterface(t)
		c := new(Dialer).mustDial(t, "isotp:kernel", name+"/7E0:7E8")
		read := make(chan error, 1)
		go func() { _, err := c.Read(make([]byte, 10)); read <- err }()
		done := writing(c, twenty)
		must(t, cantest.SetLink(name, false))
		within(t, 3*time.Second, "Read", func() { wantError(t, <-read, unix.ENETDOWN) })
		if err := <-done; err == nil {
			t.Error("Write succeeds")
		}
		c.Close()
	}
}

// A Read is told once that an interface has gone down, and all is well when it is
// up again: on both backends.
func TestKernelInterfaceThatGoesDownIsTold(t *testing.T) {
	eachBackend(t, func(t *testing.T, network string) {
		name := newInterface(t)
		c := new(Dialer).mustDial(t, network, name+"/7E0:7E8")
		read := func() <-chan error {
			result := make(chan error, 1)
			go func() { _, err := c.Read(make([]byte, 10)); result <- err }()
			return result
		}
		result := read()
		must(t, cantest.SetLink(name, false))
		var err error
		within(t, 3*time.Second, "Read", func() { err = <-result })
		wantError(t, err, unix.ENETDOWN)
		if Final(err) {
			t.Errorf("%v is final", err)
		}
		must(t, cantest.SetLink(name, true))
		peer := newRawPeer(t, name)
		peer.send("7E8#0178")
		within(t, 3*time.Second, "Read", func() { must(t, <-read()) })
	})
}

func TestKernelLeavesNothingBehind(t *testing.T) {
	name := newInterface(t)
	peer := newRawPeer(t, name)
	many := func(n int) {
		var conns []net.Conn
		var ends sync.WaitGroup
		for i := range n {
			c := new(Dialer).mustDial(t, "isotp:kernel", fmt.Sprintf("%s/%X:%X", name, 0x100+i, 0x200+i))
			conns = append(conns, c)
			ends.Go(func() { c.Read(make([]byte, 10)) })
			ends.Go(func() { c.Write(twenty) })
			peer.next()
		}
		for _, c := range conns {
			ends.Go(func() { c.Close() }) // which waits for a second, as the peer owes a flow control
		}
		ends.Wait()
		for range n {
			l, err := Listen("isotp:kernel", name+"/7E8:7E0")
			if err != nil {
				t.Fatal(err)
			}
			ends.Go(func() { l.Accept() })
			l.Close()
			ends.Wait()
		}
	}
	many(1) // what is made once
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	many(20)
	if n := openFiles(t); n != files {
		t.Errorf("%d descriptors are left", n-files)
	}
	for n := runtime.NumGoroutine(); n > goroutines; n = runtime.NumGoroutine() {
		runtime.Gosched() // those that end; the test's time limit finds the others
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A reader that pauses: the kernel does not hold its peer up, so messages may be
// lost, but never without ErrOverrun.
func TestKernelCopyToAReaderThatPauses(t *testing.T) {
	const size = 8 << 20
	for _, test := range []struct {
		name, network string
		readBuffer    int
	}{
		{"kernel to kernel", "isotp:kernel", 0},
		{"kernel to kernel, small buffer", "isotp:kernel", 64 << 10},
		{"user to kernel", "isotp:user", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := newInterface(t)
			// FD: as fast as can be here.
			c1 := (&Dialer{Config: Config{FD: true}}).mustDial(t, test.network, name+"/7E0:7E8")
			c2 := (&Dialer{Config: Config{FD: true, ReadBuffer: test.readBuffer}}).mustDial(t, "isotp:kernel", name+"/7E8:7E0")
			want := make([]byte, size)
			rand.New(rand.NewSource(1)).Read(want)
			sent := make(chan error, 1)
			go func() {
				n, err := io.Copy(c1, struct{ io.Reader }{bytes.NewReader(want)}) // a bytes.Reader alone is one Write
				if err == nil && n != size {
					err = io.ErrShortWrite
				}
				// Nothing more will come. A message that the receiver has given
				// up, as N_Cr was over, was sent nevertheless.
				c2.SetReadDeadline(time.Now().Add(5 * time.Second))
				sent <- err
			}()
			got := make([]byte, 0, size)
			paused := false
			for len(got) < size {
				n, err := c2.Read(got[len(got):min(len(got)+8192, size)])
				if errors.Is(err, ErrOverrun) {
					t.Logf("overrun after %d bytes: %d messages lost", len(got), c2.Stats().Errors[CodeReceiverFull])
					c1.Close()
					if err := <-sent; err != nil && !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
					if !bytes.Equal(got, want[:len(got)]) {
						t.Error("what came before the overrun is not what was sent")
					}
					return
				}
				if err != nil {
					t.Fatalf("%v after %d bytes; the sender: %v; stats %+v, %+v", err, len(got), <-sent, c1.Stats(), c2.Stats())
				}
				got = got[:len(got)+n]
				if len(got) > size/2 && !paused {
					paused = true
					time.Sleep(300 * time.Millisecond)
				}
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
			if !bytes.Equal(got, want) {
				t.Error("what came is not what was sent")
			}
		})
	}
}

func TestKernelSignals(t *testing.T) {
	c1, c2 := kernelPair(t, &Dialer{})
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Kill(unix.Getpid(), unix.SIGURG)
				runtime.Gosched()
			}
		}
	}()
	buf := make([]byte, 200)
	for i := range byte(200) {
		if _, err := c1.Write(bytes.Repeat([]byte{i}, 100)); err != nil {
			t.Fatal(err)
		}
		if n, err := c2.Read(buf); n != 100 || buf[0] != i || err != nil {
			t.Fatalf("message %d: %d bytes of %d, %v", i, n, buf[0], err)
		}
	}
	close(stop)
	<-stopped
	c2.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err := c2.Read(buf)
	wantError(t, err, os.ErrDeadlineExceeded) // none came twice
	within(t, 500*time.Millisecond, "Close", func() { c1.Close() })
}
