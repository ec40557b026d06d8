package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"

	"example.com/isotp/isotpnet"
)

type tunCmd struct {
	Name string     `default:"ctun%d" placeholder:"NAME" help:"Name of the network interface; %d stands for the first number that is free (${default})."`
	IP   []ipPrefix `name:"ip" placeholder:"ADDR/BITS" help:"An address for it, as 10.9.0.1/30 or fd09::1/64, and set it up; may be repeated. Without one, it is left as it is, for ip(8)."`
	MTU  int        `name:"mtu" default:"1500" placeholder:"BYTES" help:"Longest packet to send (${default})."`

	connFlags `embed:""`
}

func (*tunCmd) Help() string {
	return `
Makes a network interface of this Linux, whose packets go over a CAN bus: each packet of IPv4
or IPv6 is one message. It is what isotptun of can-utils does, which may be the other end. It
goes on until interrupted; then the interface is gone, too. A packet that cannot be sent, as
there is no peer, is lost: programs that use IP expect that. It needs root, or CAP_NET_ADMIN.

	sudo isotp tun --ip 10.9.0.1/30 vcan0/7E0:7E8
	sudo isotp tun --ip 10.9.0.2/30 vcan0/7E8:7E0     on the other computer
	ping 10.9.0.2
`
}

// An ipPrefix is an address with the length of its network's prefix.
type ipPrefix struct{ netip.Prefix }

// UnmarshalText takes an address, a slash and a number of bits.
func (p *ipPrefix) UnmarshalText(text []byte) (err error) {
	if p.Prefix, err = netip.ParsePrefix(string(text)); err != nil {
		return fmt.Errorf("%q is not an address with the bits of its network, as 10.9.0.1/30 or fd09::1/64", text)
	}
	return nil
}

const (
	minMTU = 68 // IPv4's
	maxMTU = 65535
)

// Validate is called by the parser.
func (c *tunCmd) Validate() error {
	if c.MTU < minMTU || c.MTU > maxMTU {
		return fmt.Errorf("--mtu %d: it must be from %d to %d", c.MTU, minMTU, maxMTU)
	}
	return c.check(false)
}

// Run passes packets until ctx is done.
func (c *tunCmd) Run(ctx context.Context, s *streams) error {
	t := &tunnel{tunCmd: c, s: s}
	lost, err := c.withConn(ctx, s, job{longest: int64(c.MTU), receives: true}, isotpnet.Addr{}, t.run)
	if lost != nil {
		s.warn(lost)
	}
	if ctx.Err() != nil {
		return nil // there is no other end
	}
	return err
}

// A tunnel passes packets between a network interface and a connection.
type tunnel struct {
	*tunCmd
	s    *streams
	file *os.File // of the interface: a Read or a Write is a packet

	sent, received atomic.Uint64
	notSent        atomic.Uint64 // packets that could not be sent
	notTaken       atomic.Uint64 // messages that the interface has not taken: it is down, or they are no packets
}

// run makes the interface, and passes packets until the connection or the interface fails.
func (t *tunnel) run(conn *isotpnet.Conn) error {
	file, name, err := openTun(t.Name, t.MTU, t.IP)
	if err != nil {
		return err
	}
	t.file = file
	fmt.Fprintf(t.s.stderr, "interface %s\n", name)
	ended := make(chan error)
	go func() { ended <- t.send(conn) }()
	go func() { ended <- t.receive(conn) }()
	err = <-ended
	file.Close()
	conn.Close()
	<-ended
	fmt.Fprintf(t.s.stderr, "%s sent, %s received, %s not sent, %s not taken\n",
		count(t.sent.Load(), "packet"), count(t.received.Load(), "packet"),
		count(t.notSent.Load(), "packet"), count(t.notTaken.Load(), "message"))
	return err
}

// send sends the packets of the interface. Of several in a row that cannot be sent it tells
// the first.
func (t *tunnel) send(conn *isotpnet.Conn) error {
	packet := make([]byte, maxMTU)
	failing := false
	for {
		n, err := t.file.Read(packet)
		if err != nil {
			return err
		}
		if err := conn.SetWriteDeadline(deadlineIn(t.Timeout)); err != nil {
			return err
		}
		switch _, err := conn.Write(packet[:n]); {
		case isotpnet.Final(err):
			return err
		case err != nil:
			t.notSent.Add(1)
			if !failing {
				t.s.warn(fmt.Errorf("packets are not sent: %w", err))
			}
			failing = true
		default:
			t.sent.Add(1)
			failing = false
		}
	}
}

// receive gives messages to the interface.
func (t *tunnel) receive(conn *isotpnet.Conn) error {
	packet := make([]byte, maxMTU)
	for {
		n, info, err := conn.ReadMessage(packet)
		switch {
		case isotpnet.Final(err):
			return err
		case err != nil:
			continue // counted by the connection
		case info.Rest > 0:
			t.notTaken.Add(1)
			continue
		}
		switch _, err := t.file.Write(packet[:n]); {
		case errors.Is(err, os.ErrClosed):
			return err
		case err != nil:
			t.notTaken.Add(1)
		default:
			t.received.Add(1)
		}
	}
}
