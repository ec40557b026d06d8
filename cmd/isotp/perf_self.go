package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
	"example.com/isotp/sniff"
	"golang.org/x/sync/errgroup"
)

// perfSelfFlags are those of isotp perf --self.
type perfSelfFlags struct {
	Self    string        `placeholder:"ADDRESS" help:"Send and receive messages on a bus, as vcan0/7E0:7E8, udp:239.74.163.2:43113/7E0:7E8 or virtual:a/7E0:7E8: from the one side to the other, both in this process."`
	Size    sizeRange     `placeholder:"BYTES" help:"With --self, how long messages are: a size, or a range as 1-4095 (4095)."`
	Count   *int          `placeholder:"N" help:"With --self, how many messages (100)."`
	Gap     time.Duration `placeholder:"TIME" help:"With --self, the time between two messages."`
	Network string        `default:"isotp" enum:"isotp,isotp:user,isotp:kernel" placeholder:"NET" help:"With --self: isotp, isotp:user or isotp:kernel (${default})."`
	Timeout time.Duration `placeholder:"TIME" help:"With --self, the longest time for each message; 0: no limit."`

	configFlags `embed:""`
}

func (f *perfSelfFlags) check() error {
	given := f.Size != sizeRange{} || f.Count != nil || f.Gap != 0 || f.Timeout != 0
	switch {
	case f.count() <= 0:
		return fmt.Errorf("--count %d: it must be above 0", f.count())
	case f.Gap < 0:
		return fmt.Errorf("--gap %v: it must be above 0, or 0 for none", f.Gap)
	case f.Self == "" && given:
		return errors.New("--size, --count, --gap and --timeout are for --self")
	}
	return checkTimeout(f.Timeout)
}

// runSelf sends messages from one side of a pair to the other, and measures them.
func (c *perfCmd) runSelf(ctx context.Context, s *streams) error {
	addr, err := parseAddress(c.Self.Self)
	if err != nil {
		return err
	}
	if addr.Kind() != isotpnet.KindPair {
		return &usageError{err: fmt.Errorf("--self %s: messages go from one side to the other: want both, as in vcan0/7E0:7E8", c.Self.Self), help: helpAddresses}
	}
	var out bytes.Buffer // a hook must not wait for standard output
	l, err := newSelfListener(c.printer(&out, new(source)), addr, c.Self.count())
	if err != nil {
		return err
	}
	err = c.exchange(ctx, s, addr, l)
	l.end()
	_, outErr := s.stdout.Write(out.Bytes())
	return errors.Join(interrupted(ctx, err), outErr)
}

// count is how many messages are sent.
func (f *perfSelfFlags) count() int {
	if f.Count == nil {
		return 100
	}
	return *f.Count
}

// size is how long they are.
func (f *perfSelfFlags) size() sizeRange { return cmp.Or(f.Size, sizeRange{4095, 4095}) }

// A selfListener measures the frames of the pair. On the user's backend they are those that
// the sender's connection tells of, with the times that it goes by: a bus that does not stamp
// its frames would give them those at which this program has read them.
type selfListener struct {
	printer *perfPrinter
	heard   chan struct{} // closed when as many messages were measured as are sent

	mu      sync.Mutex // guards what follows, and the printer
	sniffer *sniff.Sniffer
	left    int
}

func newSelfListener(p *perfPrinter, addr isotpnet.Addr, total int) (*selfListener, error) {
	l := &selfListener{printer: p, heard: make(chan struct{}), left: total}
	var err error
	l.sniffer, err = sniff.New(sniff.Options{Pairs: []sniff.Pair{pairOf(addr)}, Frame: p.meter.Frame, Message: func(m *sniff.Message) {
		p.message(m)
		if l.left--; l.left == 0 {
			close(l.heard)
		}
	}})
	return l, err
}

// listen adds the hooks of the sender's connection.
func (l *selfListener) listen(config *isotpnet.Config) {
	if config.Trace == nil {
		config.Trace = new(isotpnet.Trace)
	}
	for _, hook := range []*func(isotpnet.TraceEvent){&config.Trace.FrameSent, &config.Trace.FrameReceived} {
		next := *hook
		*hook = func(ev isotpnet.TraceEvent) {
			if next != nil {
				next(ev)
			}
			f := *ev.Frame
			if !f.Has(canbus.Timed) {
				f.Stamp(ev.Time.UnixNano())
			}
			l.frame(&f, "")
		}
	}
}

func (l *selfListener) frame(f *canbus.Frame, ifi string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sniffer.Frame(f, ifi)
}

// await waits until the last message was measured: its frames may be told later than its
// receiver has it. If they are lost it does not wait for ever.
func (l *selfListener) await(ctx context.Context) {
	const patience = time.Second
	select {
	case <-l.heard:
	case <-ctx.Done():
	case <-time.After(patience):
	}
}

// end prints what was measured in all.
func (l *selfListener) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sniffer.Close()
	l.printer.end()
}

// exchange sends counted messages and receives them.
func (c *perfCmd) exchange(ctx context.Context, s *streams, addr isotpnet.Addr, l *selfListener) error {
	network, _ := networkFor(c.Self.Network, job{longest: c.Self.size().max}, kernelLimit())
	out, in := isotpnet.Dialer{Config: c.Self.config()}, isotpnet.Dialer{Config: c.Self.config()}
	trace := newTracer(&c.Self.configFlags, &out.Config, s.stderr, addr.Bus())
	l.listen(&out.Config)
	sender, err := out.DialAddr(ctx, network, addr)
	if err != nil {
		return opening(ctx, err)
	}
	defer sender.Close()
	receiver, err := in.DialAddr(ctx, network, addr.Mirror())
	if err != nil {
		return opening(ctx, err)
	}
	defer receiver.Close()
	if sender.Backend() == "kernel" { // which tells of no frames
		stop, err := l.readBus(ctx, s, addr.Bus())
		if err != nil {
			return err
		}
		defer stop()
	}

	progress := s.progress(messagesText, int64(c.Self.count()), nil)
	defer progress.end()
	group, working := errgroup.WithContext(ctx)
	defer closeAfter(working, sender)()
	defer closeAfter(working, receiver)()
	group.Go(func() error { return c.sendCounted(working, sender) })
	group.Go(func() error { return receiveCounted(receiver, c.Self.count(), s, progress) })
	if err := group.Wait(); err != nil {
		return err
	}
	l.await(ctx)
	sender.Close()
	trace.wait(sender.Stats())
	return nil
}

// readBus measures the frames of a bus until stop is called.
func (l *selfListener) readBus(ctx context.Context, s *streams, bus string) (stop func(), err error) {
	src, err := s.openSource(ctx, sourceFlags{Source: bus})
	if err != nil {
		return nil, err
	}
	listening, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := src.Read(listening, l.frame, func() error { return nil }); err != nil {
			s.warn(err)
		}
	}()
	return func() {
		cancel()
		<-ended
		src.Close()
	}, nil
}

func (c *perfCmd) sendCounted(ctx context.Context, conn *isotpnet.Conn) error {
	g := newGenerator(generateCount, c.Self.size(), 0)
	for i := range c.Self.count() {
		if i > 0 && c.Self.Gap > 0 {
			sleep(ctx, c.Self.Gap)
		}
		if err := conn.SetWriteDeadline(deadlineIn(c.Self.Timeout)); err != nil {
			return err
		}
		if _, err := conn.Write(g.next()); err != nil {
			return fmt.Errorf("message %d: %w", i+1, err)
		}
	}
	return nil
}

func receiveCounted(conn *isotpnet.Conn, total int, s *streams, progress *progress) error {
	var checker countChecker
	var buf []byte
	for range total {
		var err error
		if buf, _, err = readMessage(conn, buf[:0]); err != nil {
			return err
		}
		if err := checker.check(buf); err != nil {
			s.warn(err)
		}
		progress.add(1)
	}
	return checker.failed()
}
