package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"example.com/isotp/canbus/candump"
	"example.com/isotp/isotpnet"
)

type recvCmd struct {
	Hex    bool `xor:"output" help:"Write each message as a line of hexadecimal digits."`
	Check  bool `xor:"output" help:"Write no messages, but check that they are those of send --generate count: none changed, missing or out of turn."`
	Long   bool `xor:"output" help:"Write messages while they arrive, of any length, in constant memory."`
	Stream bool `xor:"output,count" help:"Accept one connection of the network isotp-stream, from send --stream, instead of messages."`
	Count  int  `xor:"count" placeholder:"N" help:"End after N messages; 0: go on until interrupted."`

	connFlags `embed:""`

	checker countChecker
}

func (*recvCmd) Help() string {
	return `
Each message is one write. Nothing separates messages, unless --hex writes lines. The kernel
receives no message longer than max_pdu_size of its module can_isotp, 8300 bytes by
default; for longer ones there are --network isotp:user, and --long, which implies it
unless --network names a backend.

recv warns of each message that is given up before its end, or lost, and of each line of a
log that is no frame; it goes on, and fails at the end. With --check also of each message
that is not the one that is due, from the first of a send --generate count on.

	isotp recv --hex --count 1 --timeout 2s vcan0/7E8:7E0
	isotp recv --long --count 1 vcan0/7E8:7E0 > firmware.bin
	isotp recv --stream vcan0/7E8:7E0 > firmware.bin
`
}

// Examples implements exampler.
func (*recvCmd) Examples() []string {
	return []string{
		"date | isotp send --stream --timeout 10s udp:239.74.163.2:43113/7E0:7E8 & isotp recv --stream --timeout 10s udp:239.74.163.2:43113/7E8:7E0",
		"echo '(0.0) can0 7E8#0462F19041' | isotp recv --hex --listen-only candump:-,fast/7E0:7E8",
	}
}

// Validate is called by the parser.
func (c *recvCmd) Validate() error {
	if c.Count < 0 {
		return fmt.Errorf("--count %d: it must be above 0, or 0 for no limit", c.Count)
	}
	return c.check(c.Stream)
}

// Run receives.
func (c *recvCmd) Run(ctx context.Context, s *streams) error {
	if c.Stream {
		return c.receiveStream(ctx, s)
	}
	overrun := false
	lost, err := c.withConn(ctx, s, job{receives: true, streamed: c.Long}, isotpnet.Addr{}, func(conn *isotpnet.Conn) error {
		progress := c.progress(s, conn)
		defer progress.end()
		var buf []byte
		for i := 0; c.Count == 0 || i < c.Count; {
			var err error
			buf, err = c.receive(s, conn, progress, buf)
			switch {
			case err == nil:
				i++
			case errors.Is(err, isotpnet.ErrOverrun):
				s.warn(err)
				// The Stats count the frames that a bus has dropped.
				if e, ok := errors.AsType[*isotpnet.OverrunError](err); !ok || !e.Bus {
					overrun = true
				}
			default:
				return err
			}
		}
		return nil
	})
	if overrun {
		lost = errors.Join(lost, isotpnet.ErrOverrun)
	}
	if c.Check {
		lost = errors.Join(lost, c.checker.failed())
	}
	// Without a count nothing else ends it but the end of a log.
	if c.Count == 0 && (errors.Is(err, errInterrupted) || errors.Is(err, candump.ErrEnd)) {
		err = nil
	}
	return errors.Join(err, lost)
}

// progress begins to tell how much is received. Where messages are written on a terminal, it
// tells nothing.
func (c *recvCmd) progress(s *streams, conn *isotpnet.Conn) *progress {
	if isTerminal(s.stdout) && !c.Check {
		s = s.quiet()
	}
	return s.progress(bytesText, 0, func() (done, total int64) {
		received, _ := conn.Progress()
		if c.Count == 1 {
			total = received.Size
		}
		return received.Done, total
	})
}

// receive receives one message, and writes or checks it.
func (c *recvCmd) receive(s *streams, conn *isotpnet.Conn, progress *progress, buf []byte) ([]byte, error) {
	if err := conn.SetReadDeadline(deadlineIn(c.Timeout)); err != nil {
		return buf, err
	}
	if c.Long {
		n, err := copyMessage(s.stdout, conn)
		progress.add(n)
		return buf, err
	}
	buf, _, err := readMessage(conn, buf[:0])
	progress.add(int64(len(buf)))
	switch {
	case err != nil:
		return buf, err
	case c.Check:
		if err := c.checker.check(buf); err != nil {
			s.warn(err)
		}
		return buf, nil
	}
	return buf, c.write(s.stdout, buf)
}

func copyMessage(w io.Writer, conn *isotpnet.Conn) (int64, error) {
	r, _, err := conn.NextReader()
	if err != nil {
		return 0, err
	}
	return io.Copy(w, r)
}

// readMessage appends one message to buf, and describes it.
func readMessage(conn *isotpnet.Conn, buf []byte) ([]byte, isotpnet.MessageInfo, error) {
	const first = 4096
	for room := first; ; {
		n := len(buf)
		buf = append(buf, make([]byte, room)...)
		k, info, err := conn.ReadMessage(buf[n:])
		buf = buf[:n+k]
		if err != nil || info.Rest == 0 {
			return buf, info, err
		}
		room = info.Rest
	}
}

func (c *recvCmd) write(w io.Writer, message []byte) error {
	var err error
	if c.Hex {
		_, err = fmt.Fprintf(w, "%X\n", message)
	} else {
		_, err = w.Write(message)
	}
	return err
}
