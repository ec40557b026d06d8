package kernel

import (
	"errors"
	"net"
	"runtime"
	"testing"
	"time"

	_ "example.com/isotp/canbus/socketcan" // it tells interfaces apart, see canbus.Identity
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
	"example.com/isotp/test/vm/cantest"
	"golang.org/x/sys/unix"
)

// These tests walk the tables of states_linux.go where only a real socket can provoke a
// transition. They need CAN in the kernel, see test/vm; elsewhere they are skipped.

func TestMain(m *testing.M) { cantest.Main(m) }

// dialReal opens a connection on an interface of that name, which is up until the test's
// end.
func dialReal(t *testing.T, name string) *Conn {
	t.Helper()
	cantest.Need(t)
	must(t, cantest.AddLink(name))
	t.Cleanup(func() { cantest.DeleteLink(name) }) // the test may have done so
	must(t, cantest.SetLink(name, true))
	c, err := Dial(realSpec(name))
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func realSpec(name string) *Spec {
	return &Spec{
		Interface: name, Tx: wire.Address{ID: 0x7E0}, Rx: &wire.Address{ID: 0x7E8}, Single: 7,
		Claim: func() (func(), error) { return func() {}, nil },
		Owed:  func(string) time.Time { return time.Time{} },
		Owe:   func(string, time.Time) {},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits until the connection is in a state.
func (c *Conn) await(in func() bool) {
	for ok := false; !ok; runtime.Gosched() {
		c.mu.Lock()
		ok = in()
		c.mu.Unlock()
	}
}

// sending starts a message and returns where its error comes.
func sending(c *Conn, p []byte) <-chan error {
	sent := make(chan error, 1)
	go func() { _, err := c.Send(p, len(p)); sent <- err }()
	return sent
}

func TestRealPeerIsSilent(t *testing.T) {
	c := dialReal(t, "kreal0")
	sent := sending(c, make([]byte, 20))
	c.await(func() bool { return c.send == sendTaken })
	if err := <-sent; err != ResultError(engine.TimeoutBs) {
		t.Errorf("%v, want N_TIMEOUT_Bs", err)
	}
	if c.send != sendIdle {
		t.Errorf("state %d", c.send)
	}
}

// What is known of interfaces must be true of the kernel that runs: it names vcans, and when
// it has taken a Single Frame on one it has sent it.
func TestRealVcanSendsAtOnce(t *testing.T) {
	c := dialReal(t, "kreal5")
	if !c.virtual {
		t.Error("a vcan is taken for another interface")
	}
	for range 100 {
		_, err := c.Send([]byte{1}, 1)
		must(t, err)
		c.raw.Control(func(fd uintptr) {
			if !idle(int(fd)) {
				t.Error("the kernel has not sent what it has taken")
			}
		})
	}
}

func TestRealQueueIsFull(t *testing.T) {
	c := dialReal(t, "kreal1")
	must(t, cantest.SetQueue("kreal1", 1, 10_000_000))
	fill(t, "kreal1")
	sent := sending(c, []byte{1})
	c.await(func() bool { return c.send == sendFull })
	must(t, cantest.ResetQueue("kreal1"))
	if err := <-sent; err != nil {
		t.Errorf("when there is room: %v", err)
	}
}

// fill sends frames until the interface takes no more.
func fill(t *testing.T, name string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	must(t, err)
	defer unix.Close(fd)
	i, err := net.InterfaceByName(name)
	must(t, err)
	must(t, unix.Bind(fd, &unix.SockaddrCAN{Ifindex: i.Index}))
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 16)) // a struct can_frame
	}
	if err != unix.ENOBUFS {
		t.Fatal(err)
	}
}

func TestRealInterfaceGoesDownAndUpAndAway(t *testing.T) {
	c := dialReal(t, "kreal2")
	must(t, cantest.SetLink("kreal2", false))
	if _, _, err := c.Receive(make([]byte, 8)); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("Receive: %v, want %v", err, unix.ENETDOWN)
	}
	c.await(func() bool { return c.link == linkDown })
	must(t, cantest.SetLink("kreal2", true))
	if _, err := c.Send([]byte{1}, 1); err != nil {
		t.Errorf("Send: %v", err)
	}
	c.await(func() bool { return c.link == linkUp })
	must(t, cantest.DeleteLink("kreal2"))
	for { // it goes down first
		if _, _, err := c.Receive(make([]byte, 8)); !errors.Is(err, unix.ENETDOWN) {
			if _, gone := err.(*GoneError); !gone {
				t.Errorf("Receive: %v, want a GoneError", err)
			}
			break
		}
	}
	c.await(func() bool { return c.link == linkGone })
}

// While no Read waits the drainer comes to the socket; a Read sends it away.
func TestRealDrainer(t *testing.T) {
	c := dialReal(t, "kreal3")
	c.await(func() bool { return c.queue.state == drainStanding })
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	c.Receive(make([]byte, 8))
	c.await(func() bool { return c.queue.state == drainStanding && c.queue.drainer })
}

// A listener whose interface was deleted is on the one that has the name later, claims the
// pair there, and gives back what it had.
func TestRealListenerClaimsThePairAnew(t *testing.T) {
	cantest.Need(t)
	const name = "kreal4"
	add := func() { must(t, errors.Join(cantest.AddLink(name), cantest.SetLink(name, true))) }
	add()
	claimed, released := 0, 0
	var refuse error
	spec := realSpec(name)
	spec.Claim = func() (func(), error) {
		if refuse != nil {
			return nil, refuse
		}
		claimed++
		return func() { released++ }, nil
	}
	l, err := Listen(spec)
	must(t, err)
	must(t, cantest.DeleteLink(name))
	defer cantest.DeleteLink(name)
	for gone := false; !gone; {
		_, err := l.Accept()
		_, gone = err.(*GoneError)
	}
	add()
	refuse = errors.New("another has it")
	l.SetDeadline(time.Now().Add(time.Second))
	if _, err := l.Accept(); err != refuse {
		t.Errorf("Accept: %v, want %v", err, refuse)
	}
	refuse = nil
	l.SetDeadline(time.Now().Add(10 * time.Millisecond))
	l.Accept()
	if claimed != 2 || released != 1 {
		t.Errorf("claimed %d times, released %d", claimed, released)
	}
	l.Close()
	if released != 2 {
		t.Errorf("released %d times after Close", released)
	}
}
