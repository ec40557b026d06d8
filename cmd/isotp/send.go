package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"example.com/isotp/isotpnet"
)

type sendCmd struct {
	Hex         bool   `xor:"input" help:"Each line of standard input is a message in hexadecimal digits, as 22 F1 90, 0x22,0xF1 or 22:F1:90; a # begins a comment."`
	MessageSize int64  `xor:"input" placeholder:"BYTES" help:"Cut standard input into messages of that size (4095, or --max-send-size)."`
	Single      bool   `xor:"input" help:"The whole of standard input is one message."`
	Size        int64  `xor:"input" placeholder:"BYTES" help:"The first BYTES bytes of standard input are one message, sent while they are read."`
	Stream      bool   `xor:"input" help:"Send standard input by one connection of the network isotp-stream, to recv --stream, instead of as messages."`
	Functional  string `placeholder:"ADDR" help:"Send to a functional address instead, such as 7DF:."`

	connFlags `embed:""`
}

func (*sendCmd) Help() string {
	return `
Without --hex, --single or --size standard input is cut into messages of 4095 bytes. Each
is sent when all of it was read. With --stream the peer, recv --stream, has all of standard
input when send ends.

The kernel sends no message longer than max_pdu_size of its module can_isotp, 8300 bytes by
default. For a longer one of --size, --single or --message-size send takes isotp:user,
unless --network names a backend. It does not know the lengths of --hex before.

	echo '22 F1 90' | isotp send --hex vcan0/7E0:7E8
	isotp send --size 4194304 --fd vcan0/7E0:7E8 < firmware.bin
	isotp send --stream vcan0/7E0:7E8 < firmware.bin
`
}

// maxMessage is the longest message of all.
const maxMessage = math.MaxUint32

// Validate is called by the parser.
func (c *sendCmd) Validate() error {
	switch {
	case c.MessageSize < 0 || c.MessageSize > maxMessage:
		return fmt.Errorf("--message-size %d: it must be from 1 to %d, or 0 for the default", c.MessageSize, int64(maxMessage))
	case c.Size < 0 || c.Size > maxMessage:
		return fmt.Errorf("--size %d: it must be from 1 to %d", c.Size, int64(maxMessage))
	case c.Stream && c.Functional != "":
		return errors.New("--stream and --functional can't be used together: a connection has two ends")
	case c.Size > 0 && c.Functional != "":
		return errors.New("--size and --functional can't be used together: a functional message is a Single Frame")
	}
	return c.check(c.Stream)
}

// Run sends.
func (c *sendCmd) Run(ctx context.Context, s *streams) error {
	if c.Stream {
		return c.sendStream(ctx, s)
	}
	functional, err := c.functional()
	if err != nil {
		return err
	}
	var single []byte
	if c.Single { // its length decides which backend sends it
		if _, err := parseAddress(c.Address); err != nil {
			return err
		}
		in := c.input(ctx, s)
		single, err = singleMessage(in)
		in.Close()
		if err != nil {
			return interrupted(ctx, err)
		}
	}
	// Which messages came meanwhile, and which of them were lost, does not matter.
	_, err = c.withConn(ctx, s, c.job(single), functional, func(conn *isotpnet.Conn) error {
		switch {
		case c.Size > 0:
			return c.stream(ctx, s, conn)
		case c.Single:
			return c.send(conn, single)
		}
		in := c.input(ctx, s)
		defer in.Close()
		return c.messages(in, func(p []byte) error { return c.send(conn, p) })
	})
	return err
}

// functional is where WriteFunctional sends, the zero Addr for nowhere.
func (c *sendCmd) functional() (isotpnet.Addr, error) {
	if c.Functional == "" {
		return isotpnet.Addr{}, nil
	}
	addr, err := parseEndpoint("--functional", c.Functional)
	if err == nil && addr.Kind() != isotpnet.KindFunctional {
		err = usageErrorf("--functional %s: it must be an address that only sends, as 7DF:", c.Functional)
	}
	return addr, err
}

// partSize is how long the messages are that standard input is cut into.
func (c *sendCmd) partSize() int64 {
	switch {
	case c.MessageSize > 0:
		return c.MessageSize
	case c.MaxSendSize > 0:
		return int64(c.MaxSendSize)
	}
	return 4095
}

// job says how long the longest message is; single is the one of --single.
func (c *sendCmd) job(single []byte) job {
	switch {
	case c.Hex:
		return job{} // not known before it is read
	case c.Size > 0:
		return job{longest: c.Size}
	case c.Single && !c.SplitWrites:
		return job{longest: int64(len(single))}
	}
	return job{longest: c.partSize()}
}

// messages calls send for each message in the input.
func (c *sendCmd) messages(in io.Reader, send func([]byte) error) error {
	if c.Hex {
		return hexMessages(in, send)
	}
	size := c.partSize()
	// The buffer grows with what comes, not with what the flag says.
	var buf bytes.Buffer
	for {
		buf.Reset()
		n, err := io.CopyN(&buf, in, size)
		if err != nil && err != io.EOF {
			return err
		}
		if n > 0 {
			if err := send(buf.Bytes()); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

func singleMessage(in io.Reader) ([]byte, error) {
	p, err := io.ReadAll(io.LimitReader(in, maxMessage+1))
	if err == nil && len(p) == 0 {
		err = errors.New("standard input is empty, and there is no empty message")
	}
	return p, err
}

func (c *sendCmd) send(conn *isotpnet.Conn, p []byte) error {
	if err := conn.SetWriteDeadline(deadlineIn(c.Timeout)); err != nil {
		return err
	}
	write := conn.Write
	if c.Functional != "" {
		write = conn.WriteFunctional
	}
	_, err := write(p)
	return err
}

// stream sends standard input while it reads it. A deadline of the connection
// would not end a Read of standard input.
func (c *sendCmd) stream(ctx context.Context, s *streams, conn *isotpnet.Conn) error {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, os.ErrDeadlineExceeded)
		defer cancel()
	}
	if err := conn.SetWriteDeadline(deadlineIn(c.Timeout)); err != nil {
		return err
	}
	in := s.input(ctx)
	defer in.Close()
	return conn.SendFrom(in, c.Size)
}
