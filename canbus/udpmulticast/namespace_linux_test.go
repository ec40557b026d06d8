package udpmulticast

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"example.com/isotp/isotpnet"
	"example.com/isotp/test/netns"
	"golang.org/x/sys/unix"
)

// elsewhere calls f on a thread in a new network namespace with multicast on lo.
func elsewhere(t *testing.T, f func() error) {
	t.Helper()
	withoutRoutes(t, func() error { return errors.Join(netns.AddRoutes(), f()) })
}

// withoutRoutes calls f on a thread in a new network namespace as that of a computer
// without a network: lo is all there is.
func withoutRoutes(t *testing.T, f func() error) {
	t.Helper()
	netns.Need(t)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread is of no more use
		err := errors.Join(unix.Unshare(unix.CLONE_NEWNET), netns.SetLoopback(true))
		defer func() { done <- err }() // after a Fatal, too
		if err == nil {
			err = f()
		}
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// dial dials as programs do that bound the time for it.
func dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return new(isotpnet.Dialer).DialContext(ctx, network, address)
}

// The same pair on the same group in two network namespaces are two pairs on two buses.
func TestConnsOfTwoNamespacesDoNotMeet(t *testing.T) {
	const bus = "udp:" + group4
	type pair struct{ tester, ecu net.Conn }
	open := func() (p pair, err error) {
		if p.tester, err = dial("isotp", bus+"/7E0:7E8"); err != nil {
			return p, err
		}
		p.ecu, err = dial("isotp", bus+"/7E8:7E0")
		return p, err
	}
	netns.Need(t)
	here, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer here.tester.Close()
	defer here.ecu.Close()
	var there pair
	elsewhere(t, func() (err error) {
		there, err = open()
		return err
	})
	defer there.tester.Close()
	defer there.ecu.Close()

	// Each ECU gets what its own tester has sent, on whatever thread.
	for _, c := range []struct {
		pair
		message string
	}{{here, "here"}, {there, "there"}, {here, "here again"}} {
		if _, err := c.tester.Write([]byte(c.message)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		c.ecu.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := c.ecu.Read(buf)
		if err != nil || string(buf[:n]) != c.message {
			t.Errorf("got %q, %v; want %q", buf[:n], err, c.message)
		}
	}
}

func TestAStreamOfAnotherNamespaceIsAnotherStream(t *testing.T) {
	const address = "udp:" + group4 + "/7E0:7E8"
	netns.Need(t)
	listen := func() (net.Listener, error) { return isotpnet.Listen("isotp-stream", address) }
	here, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	var there net.Listener
	elsewhere(t, func() (err error) {
		there, err = listen()
		return err
	})
	defer there.Close()
	if again, err := listen(); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a second listener on one pair: %v, %v", again, err)
	}
}

func TestWithoutARouteTheErrorSaysWhatToDo(t *testing.T) {
	withoutRoutes(t, func() error {
		for _, c := range []struct{ name, hint string }{
			{"239.74.163.2:43113", "udp:239.74.163.2%lo:43113"},
			{"[ff15::1]:43113@none", "ip -6 route add local ff00::/8 dev lo"},
			{"[ff15::1]:43113@none", "udp:[ff15::1%eth0]:43113"},
			{"[ff15::1%lo]:43113", "ip -6 route add local ff00::/8 dev lo"},
		} {
			b, err := Open(c.name)
			if err == nil {
				b.Close()
				t.Errorf("%s can be opened", c.name)
			} else if !strings.Contains(err.Error(), c.hint) {
				t.Errorf("%s: %v; want %q in it", c.name, err, c.hint)
			}
		}
		return nil
	})
}

// What the errors say to do helps.
func TestLoopbackByName(t *testing.T) {
	exchange := func(name string) {
		a, b := openTest(t, name), openTest(t, name)
		write(t, a, frame(0x123, 1))
		wantNext(t, b, frame(0x123, 1))
	}
	withoutRoutes(t, func() error { exchange("239.74.163.2%lo:43113"); return nil })
	elsewhere(t, func() error { exchange("[ff15::1%lo]:43113"); return nil })
}
