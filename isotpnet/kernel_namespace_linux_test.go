package isotpnet

import (
	"context"
	"errors"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"example.com/isotp/test/vm/cantest"
	"golang.org/x/sys/unix"
)

// An interface's name means what it means to the thread that dials.

// elsewhere calls f on a thread in a new network namespace, which has an interface of
// that name that is up.
func elsewhere(t *testing.T, name string, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread is of no more use
		err := errors.Join(unix.Unshare(unix.CLONE_NEWNET), cantest.AddLink(name), cantest.SetLink(name, true))
		if err == nil {
			f()
		}
		done <- err
	}()
	must(t, <-done)
}

// eachBackend runs a test with the networks of both.
func eachBackend(t *testing.T, f func(t *testing.T, network string)) {
	for _, network := range []string{"isotp:user", "isotp:kernel"} {
		t.Run(network, func(t *testing.T) { f(t, network) })
	}
}

func TestKernelNamespacesHaveBusesOfTheirOwn(t *testing.T) {
	eachBackend(t, func(t *testing.T, network string) {
		name := newInterface(t)
		peer := newRawPeer(t, name)
		here := new(Dialer).mustDial(t, network, name+"/7E0:7E8")
		var there net.Conn
		var otherPeer *rawPeer
		var err error
		elsewhere(t, name, func() {
			otherPeer = newRawPeer(t, name)
			// With a context a bus is opened by another goroutine.
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			there, err = new(Dialer).DialContext(ctx, network, name+"/7E0:7E8")
		})
		must(t, err)
		defer there.Close()
		for range 2 {
			_, err = there.Write([]byte("t"))
			must(t, err)
			otherPeer.expect("7E0#0174CCCCCCCCCCCC")
			_, err = here.Write([]byte("h"))
			must(t, err)
			peer.expect("7E0#0168CCCCCCCCCCCC")
		}
	})
}

// What is owed by the peer of one bus is not by that of another.
func TestKernelNamespacesOweNothingToEachOther(t *testing.T) {
	eachBackend(t, func(t *testing.T, network string) {
		name := newInterface(t)
		peer := newRawPeer(t, name)
		c := new(Dialer).mustDial(t, network, name+"/7E0:7E8")
		c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		c.Write(twenty)
		peer.expect(ffA)
		must(t, c.Close())
		elsewhere(t, name, func() {
			other := newRawPeer(t, name)
			c := new(Dialer).mustDial(t, network, name+"/7E0:7E8")
			done := writing(c, times(20))
			within(t, 300*time.Millisecond, "the First Frame", func() { other.expect(ffB) })
			other.send("7E8#300000")
			must(t, <-done)
		})
	})
}

// rename gives an interface a new name, and another interface its old one.
func rename(t *testing.T, name string) (renamed string) {
	t.Helper()
	renamed = name + "r"
	must(t, cantest.SetLink(name, false))
	must(t, cantest.RenameLink(name, renamed))
	t.Cleanup(func() { cantest.DeleteLink(renamed) })
	must(t, cantest.SetLink(renamed, true))
	must(t, cantest.AddLink(name))
	must(t, cantest.SetLink(name, true))
	return renamed
}

func TestKernelRenamedInterfaceIsTheSameBus(t *testing.T) {
	eachBackend(t, func(t *testing.T, network string) {
		name := newInterface(t)
		first := new(Dialer).mustDial(t, network, name+"/7E0:7E8")
		renamed := rename(t, name)
		peer, other := newRawPeer(t, renamed), newRawPeer(t, name)

		_, err := Dial(network, renamed+"/7E0:7E8")
		wantError(t, err, syscall.EADDRINUSE)
		second := new(Dialer).mustDial(t, network, name+"/7E0:7E8")
		_, err = first.Write([]byte("1"))
		if errors.Is(err, errDown) { // it was, and that is told once
			_, err = first.Write([]byte("1"))
		}
		must(t, err)
		_, err = second.Write([]byte("2"))
		must(t, err)
		peer.expect("7E0#0131CCCCCCCCCCCC")
		other.expect("7E0#0132CCCCCCCCCCCC")
	})
}

// A socket that was sending is closed with its Conn, and the listener opens another one.
func TestKernelListenerStaysOnItsInterface(t *testing.T) {
	giveUp := func(t *testing.T, l net.Listener, peer *rawPeer) {
		t.Helper()
		peer.send("7E0#0178")
		c, err := l.Accept()
		must(t, err)
		c.SetWriteDeadline(time.Now().Add(5 * time.Millisecond))
		c.Write(twenty) // the peer does not answer
		must(t, c.Close())
		peer.send("7E0#0178")
		c, err = l.Accept()
		must(t, err)
		must(t, c.Close())
	}
	t.Run("in another namespace", func(t *testing.T) {
		name := newInterface(t)
		var l net.Listener
		var peer *rawPeer
		var err error
		elsewhere(t, name, func() {
			peer = newRawPeer(t, name)
			l, err = Listen("isotp:kernel", name+"/7E8:7E0")
		})
		must(t, err)
		defer l.Close()
		within(t, 5*time.Second, "Accept", func() { giveUp(t, l, peer) })
	})
	t.Run("renamed", func(t *testing.T) {
		name := newInterface(t)
		l, err := Listen("isotp:kernel", name+"/7E8:7E0")
		must(t, err)
		defer l.Close()
		peer := newRawPeer(t, rename(t, name))
		// That it was down is told once.
		_, err = l.Accept()
		wantError(t, err, errDown)
		within(t, 5*time.Second, "Accept", func() { giveUp(t, l, peer) })
	})
}
