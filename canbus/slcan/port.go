package slcan

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"example.com/isotp/canbus/internal/lifetime"
	"go.bug.st/serial"
)

// A port is a serial port whose Close ends a Write. The system's Write waits for an adapter
// that takes nothing until the adapter is unplugged; so a goroutine of its own calls it.
type port struct {
	serial.Port
	writes  chan []byte
	results chan error
	busy    atomic.Bool // the system's Write is under way
	once    sync.Once
	closed  chan struct{}
	err     error
}

// openPort opens a serial port of this computer or another.
func openPort(ctx context.Context, name string, baud int) (io.ReadWriteCloser, error) {
	if address, isTCP := strings.CutPrefix(name, tcpScheme); isTCP {
		return dialPort(ctx, address)
	}
	return openSerial(ctx, name, baud)
}

func openSerial(ctx context.Context, name string, baud int) (*port, error) {
	if baud == 0 {
		baud = defaultBaud
	}
	// The system may take long to open a port, such as one of Bluetooth.
	sp, err := lifetime.Open(ctx, func() (serial.Port, error) {
		return serial.Open(name, &serial.Mode{BaudRate: baud})
	})
	if err != nil && err == ctx.Err() {
		return nil, fmt.Errorf("slcan: open %s: %w", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("slcan: open %s: %w%s", name, err, otherPorts())
	}
	p := &port{
		Port:    sp,
		writes:  make(chan []byte),
		results: make(chan error),
		closed:  make(chan struct{}),
	}
	go p.write()
	return p, nil
}

// otherPorts tells which ports there are, for an error.
func otherPorts() string {
	list, err := serial.GetPortsList()
	switch {
	case err != nil:
		return ""
	case len(list) == 0:
		return " (this computer has no serial ports)"
	}
	return fmt.Sprintf(" (there are %v)", list)
}

func (p *port) write() {
	for {
		select {
		case b := <-p.writes:
			var err error
			p.busy.Store(true)
			for len(b) > 0 && err == nil {
				var n int
				n, err = p.Port.Write(b)
				b = b[n:]
			}
			p.busy.Store(false)
			select {
			case p.results <- err:
			case <-p.closed:
				return
			}
		case <-p.closed:
			return
		}
	}
}

// Write writes all of b.
func (p *port) Write(b []byte) (int, error) {
	own := append([]byte(nil), b...)
	select {
	case p.writes <- own:
	case <-p.closed:
		return 0, net.ErrClosed
	}
	select {
	case err := <-p.results:
		if err != nil {
			return 0, err
		}
		return len(b), nil
	case <-p.closed:
		return 0, net.ErrClosed
	}
}

// Read waits for what the adapter says.
func (p *port) Read(b []byte) (int, error) {
	for {
		// No bytes without an error are a time-out, which we have not set: read again.
		if n, err := p.Port.Read(b); n > 0 || err != nil {
			return n, err
		}
	}
}

// Close closes the port.
func (p *port) Close() error {
	p.once.Do(func() {
		close(p.closed)
		if p.busy.Load() {
			p.ResetOutputBuffer() // ends a Write that waits for room
		}
		p.err = p.Port.Close()
	})
	return p.err
}
