package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"example.com/isotp/isotpnet"
)

type sendCmd struct {
	Hex         bool          `xor:"input" help:"Each line of standard input is a message in hexadecimal digits, as 22 F1 90, 0x22,0xF1 or 22:F1:90; a # begins a comment."`
	MessageSize int64         `xor:"input" placeholder:"BYTES" help:"Cut standard input into messages of that size (4095, or --max-send-size)."`
	Single      bool          `xor:"input" help:"The whole of standard input is one message."`
	Generate    generateKind  `xor:"input" placeholder:"KIND" help:"Send messages of its own making, and read no standard input: random or count (numbered ones, which recv --check checks)."`
	Size        sizeRange     `placeholder:"BYTES" help:"The first BYTES bytes of standard input are one message, sent while they are read. With --generate how long messages are: a size, or a range as 1-4095 (the default)."`
	Count       int           `placeholder:"N" help:"With --generate, end after N messages; 0: go on until interrupted."`
	Seed        *uint64       `placeholder:"N" help:"With --generate random: the same number makes the same messages (another one each time, which is told)."`
	Gap         time.Duration `placeholder:"TIME" help:"Wait so long between two messages, as 10ms."`
	Stream      bool          `xor:"input" help:"Send standard input by one connection of the network isotp-stream, to recv --stream, instead of as messages."`
	Functional  string        `placeholder:"ADDR" help:"Send to a functional address instead, such as 7DF:."`

	connFlags `embed:""`
}

func (*sendCmd) Help() string {
	return `
Without --hex, --single, --size or --generate standard input is cut into messages of 4095 bytes. Each
is sent when all of it was read. With --stream the peer, recv --stream, has all of standard
input when send ends.

The kernel sends no message longer than max_pdu_size of its module can_isotp, 8300 bytes by
default. For a longer one of --size, --single or --message-size send takes isotp:user,
unless --network names a backend. It does not know the lengths of --hex before.

	echo '22 F1 90' | isotp send --hex vcan0/7E0:7E8
	isotp send --size 4194304 --fd vcan0/7E0:7E8 < firmware.bin
	isotp send --stream vcan0/7E0:7E8 < firmware.bin
	isotp send --generate count --size 1-4095 --count 1000 vcan0/7E0:7E8
	isotp send --generate random --size 8 --gap 10ms vcan0/7E0:7E8
`
}

// maxMessage is the longest message of all.
const maxMessage = math.MaxUint32

// Examples implements exampler.
func (*sendCmd) Examples() []string {
	return []string{
		"isotp recv --stream --timeout 10s udp:239.74.163.2:43113/7E8:7E0 & date | isotp send --stream --timeout 10s udp:239.74.163.2:43113/7E0:7E8; wait",
		"echo 3E80 | isotp send --hex virtual:demo/7DF:",
	}
}

// Validate is called by the parser.
func (c *sendCmd) Validate() error {
	switch {
	case c.MessageSize < 0 || c.MessageSize > maxMessage:
		return fmt.Errorf("--message-size %d: it must be from 1 to %d, or 0 for the default", c.MessageSize, int64(maxMessage))
	case c.Stream && c.Functional != "":
		return errors.New("--stream and --functional can't be used together: a connection has two ends")
	case c.streamed() && c.Functional != "":
		return errors.New("--size and --functional can't be used together: a functional message is a Single Frame")
	case c.Gap < 0:
		return fmt.Errorf("--gap %v: it must be above 0, or 0 for none", c.Gap)
	case c.Gap > 0 && (c.Single || c.Stream || c.streamed()):
		return fmt.Errorf("--gap %v: it is the time between messages, and there is one only", c.Gap)
	}
	if err := c.checkGenerate(); err != nil {
		return err
	}
	return c.check(c.Stream)
}

// checkGenerate checks the flags that belong to --generate, or only without a range to --size.
func (c *sendCmd) checkGenerate() error {
	switch {
	case c.Count < 0:
		return fmt.Errorf("--count %d: it must be above 0, or 0 for no limit", c.Count)
	case c.Seed != nil && c.Generate != generateRandom:
		return fmt.Errorf("--seed %d: it needs --generate random", *c.Seed)
	case c.Generate != "":
		return nil
	case c.Count > 0:
		return fmt.Errorf("--count %d: it needs --generate", c.Count)
	case c.Size.min != c.Size.max:
		return fmt.Errorf("--size %d-%d: a range needs --generate", c.Size.min, c.Size.max)
	case c.streamed() && (c.Hex || c.Single || c.Stream || c.MessageSize > 0):
		return errors.New("--size can't be used together with --hex, --message-size, --single or --stream: each says what the messages are")
	}
	return nil
}

// streamed reports whether the one message is sent while it is read.
func (c *sendCmd) streamed() bool { return c.Size.max > 0 && c.Generate == "" }

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
		out := &sender{ctx: ctx, c: c, conn: conn}
		out.progress = c.progress(s, int64(len(single)), conn)
		defer out.progress.end()
		switch {
		case c.Generate != "":
			return c.generate(s, out)
		case c.streamed():
			return c.stream(ctx, s, conn)
		case c.Single:
			return out.send(single)
		}
		in := c.input(ctx, s)
		defer in.Close()
		return c.messages(in, out.send)
	})
	if c.Generate != "" && c.Count == 0 && errors.Is(err, errInterrupted) {
		err = nil // there is no other end
	}
	return err
}

// progress begins to tell how much is sent; single is the length of the message of --single.
// Where a person types the messages at a terminal, it tells nothing.
func (c *sendCmd) progress(s *streams, single int64, conn *isotpnet.Conn) *progress {
	total := single
	switch {
	case c.Generate != "" && c.Size.min == c.Size.max:
		total = c.Size.max * int64(c.Count)
	case c.Generate != "" || c.Hex:
		// not known
	case c.streamed():
		total = c.Size.max
	case total == 0:
		total = fileSize(s.stdin)
	}
	if c.Generate == "" && isTerminal(s.stdin) {
		s = s.quiet()
	}
	return s.progress(bytesText, total, func() (int64, int64) {
		_, sent := conn.Progress()
		return sent.Done, 0
	})
}

// fileSize returns how long a file is, 0 if r is none.
func fileSize(r io.Reader) int64 {
	if f, ok := r.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return info.Size()
		}
	}
	return 0
}

// generate sends messages that it makes itself.
func (c *sendCmd) generate(s *streams, out *sender) error {
	g := newGenerator(c.Generate, c.generatedSize(), c.seed(s))
	for i := 0; c.Count == 0 || i < c.Count; i++ {
		if err := out.send(g.next()); err != nil {
			return fmt.Errorf("message %d: %w", i+1, err)
		}
	}
	return nil
}

// generatedSize is how long generated messages are.
func (c *sendCmd) generatedSize() sizeRange {
	if c.Size.max > 0 {
		return c.Size
	}
	return sizeRange{1, 4095}
}

// seed is what random messages are made of.
func (c *sendCmd) seed(s *streams) uint64 {
	switch {
	case c.Seed != nil:
		return *c.Seed
	case c.Generate != generateRandom:
		return 0
	}
	seed := uint64(rand.Uint32())
	fmt.Fprintf(s.stderr, "seed %d\n", seed)
	return seed
}

// functional is where WriteFunctional sends, the zero Addr for nowhere.
func (c *sendCmd) functional() (isotpnet.Addr, error) {
	if c.Functional == "" {
		return isotpnet.Addr{}, nil
	}
	return parseFunctional(c.Functional)
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
	case c.Generate != "":
		return job{longest: c.generatedSize().max}
	case c.streamed():
		return job{longest: c.Size.max}
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

// A sender sends one message after the other.
type sender struct {
	ctx      context.Context
	c        *sendCmd
	conn     *isotpnet.Conn
	progress *progress
	begun    bool // a message was sent
}

// send sends a message, --gap after the one before it.
func (o *sender) send(p []byte) error {
	if o.begun && o.c.Gap > 0 {
		sleep(o.ctx, o.c.Gap)
	}
	o.begun = true
	if err := o.conn.SetWriteDeadline(deadlineIn(o.c.Timeout)); err != nil {
		return err
	}
	write := o.conn.Write
	if o.c.Functional != "" {
		write = o.conn.WriteFunctional
	}
	n, err := write(p)
	o.progress.add(int64(n))
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
	return conn.SendFrom(in, c.Size.max)
}
