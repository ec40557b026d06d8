package slcan

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"example.com/isotp/internal/netns"
)

const (
	tcpScheme = "tcp:"
	// dialTime is how long the other computer may take to accept a connection.
	dialTime = 5 * time.Second
)

// A tcpPort is a serial port of another computer, whose bytes go through a TCP
// connection as they are, as ser2net and socat do it.
type tcpPort struct {
	*net.TCPConn
	once  sync.Once
	ended chan struct{} // closed when the other end has closed
	eof   sync.Once
	err   error
}

func dialPort(ctx context.Context, address string) (*tcpPort, error) {
	d := net.Dialer{Timeout: dialTime}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("slcan: open %s%s: %w", tcpScheme, address, err)
	}
	return &tcpPort{TCPConn: conn.(*net.TCPConn), ended: make(chan struct{})}, nil
}

func (p *tcpPort) Read(b []byte) (int, error) {
	n, err := p.TCPConn.Read(b)
	if err != nil {
		p.eof.Do(func() { close(p.ended) })
	}
	return n, err
}

// Close waits, for patience at most, until the other end has taken what was written, and
// closes the connection. Without the wait the system would throw that away if text came
// meanwhile.
func (p *tcpPort) Close() error {
	p.once.Do(func() {
		if p.TCPConn.CloseWrite() == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			select {
			case <-p.ended:
			case <-timer.C:
			}
		}
		p.err = p.TCPConn.Close()
	})
	return p.err
}

// identity tells adapters apart: an address of TCP means another adapter in another network
// namespace; a serial port is the same in all.
func identity(address string) string {
	name := "slcan:" + address
	if strings.HasPrefix(address, tcpScheme) {
		name += " in " + netns.Current()
	}
	return name
}
