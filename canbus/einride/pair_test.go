package einride

import (
	"context"
	"errors"
	"net"
	"sync"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/canbus/virtual"
	"go.einride.tech/can/pkg/socketcan"
)

// A reporting bus can have an error frame come through its connection.
type reporting struct {
	*Bus
	other net.Conn
}

func report(a canbus.Bus) error {
	f := canbus.Frame{ID: 0x80, Flags: canbus.ErrorFrame, Len: 8}
	_, err := a.(*reporting).other.Write(appendFrame(nil, &f))
	return err
}

// pipes are two connections in memory.
func pipes() (near, far net.Conn, err error) {
	near, far = net.Pipe()
	return near, far, nil
}

// dialed is a connection of their Dial, and its other end.
func dialed() (near, far net.Conn, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	if near, err = socketcan.Dial("tcp", ln.Addr().String()); err != nil {
		return nil, nil, err
	}
	far, err = ln.Accept()
	return near, far, err
}

// pairOverTheirs makes two buses with their library between them, which receives and
// transmits each frame.
func pairOverTheirs(connect func() (near, far net.Conn, err error)) bustest.MakePair {
	return func() (a, b canbus.Bus, stop func(), err error) {
		near1, far1, err1 := connect()
		near2, far2, err2 := connect()
		if err := errors.Join(err1, err2); err != nil {
			return nil, nil, nil, err
		}
		var relays sync.WaitGroup
		relays.Go(func() { relay(far1, far2) })
		relays.Go(func() { relay(far2, far1) })
		return &reporting{NewBus(near1), far1}, NewBus(near2), func() {
			far1.Close()
			far2.Close()
			relays.Wait()
		}, nil
	}
}

// relay passes frames on until the connection from which they come ends.
func relay(from, to net.Conn) {
	rx, tx := socketcan.NewReceiver(from), socketcan.NewTransmitter(to)
	var gone bool
	for rx.Receive() {
		// An end that has gone must not hold up the other.
		gone = gone || tx.TransmitFrame(context.Background(), rx.Frame()) != nil
	}
}

// pairThereAndBack makes buses of connections of the taps of a virtual network.
func pairThereAndBack(o virtual.Options) bustest.MakePair {
	return func() (a, b canbus.Bus, stop func(), err error) {
		n, err := virtual.New(o)
		if err != nil {
			return nil, nil, nil, err
		}
		var buses [2]canbus.Bus
		for i := range buses {
			tap, err := n.Tap()
			if err != nil {
				return nil, nil, nil, err
			}
			buses[i] = NewBus(NewConn(tap, "virtual"))
		}
		return buses[0], buses[1], func() { n.Close() }, nil
	}
}

// group is where their emulator works.
const group = "239.64.142.206:43114"

// pairOfTheirEmulator makes members of their multicast group.
func pairOfTheirEmulator() (a, b canbus.Bus, stop func(), err error) {
	everybody := &members{read: make(map[*member]int)}
	everybody.news.L = &everybody.mu
	var buses [2]canbus.Bus
	for i := range buses {
		conn, err := socketcan.Dial("udp", group)
		if err != nil {
			return nil, nil, nil, err
		}
		m := &member{Conn: conn, all: everybody}
		everybody.read[m] = 0
		buses[i] = NewBus(m)
	}
	return buses[0], buses[1], nil, nil
}

// members of a group hold each other up. Otherwise a test that has much to do elsewhere would
// lose frames: the sockets have room for 250, and a program cannot give them more.
type members struct {
	mu      sync.Mutex
	news    sync.Cond
	written int
	read    map[*member]int // of those that are open
}

type member struct {
	net.Conn
	all *members
}

func (m *member) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	if _, open := m.all.read[m]; open && err == nil {
		m.all.read[m]++
		m.all.news.Broadcast()
	}
	return n, err
}

func (m *member) Write(p []byte) (int, error) {
	m.all.mu.Lock()
	for m.all.behind() {
		m.all.news.Wait()
	}
	m.all.written++
	m.all.mu.Unlock()
	return m.Conn.Write(p)
}

// behind reports whether a member has much to read.
func (a *members) behind() bool {
	for _, n := range a.read {
		if a.written-n >= 150 {
			return true
		}
	}
	return false
}

func (m *member) Close() error {
	err := m.Conn.Close()
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	delete(m.all.read, m)
	m.all.news.Broadcast()
	return err
}
