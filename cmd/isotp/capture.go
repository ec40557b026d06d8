package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
	"example.com/isotp/canbus/canlog"
	"example.com/isotp/isotpnet"
)

// A capture writes the frames of all buses that a command opens to a file. A Recorder puts
// them in order and waits for no disk; what it writes goes on into the file's format.
type capture struct {
	s        *streams
	file     string
	out      *logWriter
	recorder *candump.Recorder
	pipe     *io.PipeWriter // from the recorder
	done     chan error     // the error of writing the file

	mu     sync.Mutex            // guards what follows
	beside map[string]canbus.Bus // sockets on interfaces, by their names
	wg     sync.WaitGroup        // the goroutines that read them
	buses  int                   // how many buses are captured
}

// runCaptured runs a command, with --capture if that is given.
func (s *streams) runCaptured(ctx context.Context, command *kong.Context) error {
	file := command.Model.Target.FieldByName("Capture").String() // the target is a part of a cli
	if file == "" {
		return command.Run()
	}
	c, err := s.startCapture(file)
	if err != nil {
		return err
	}
	c.besideAddresses(command)
	command.BindTo(canbus.WithOpened(ctx, c.opened), (*context.Context)(nil))
	s.capture = c
	err = command.Run()
	return errors.Join(err, c.end(err != nil))
}

// openCaptured is canbus.Open with a context that is not the command's.
func (s *streams) openCaptured(ctx context.Context, name string) (canbus.Bus, error) {
	if s.capture != nil {
		ctx = canbus.WithOpened(ctx, s.capture.opened)
	}
	return canbus.Open(ctx, name)
}

func (s *streams) startCapture(file string) (*capture, error) {
	format, err := logFormat(0, file)
	if err != nil {
		return nil, err
	}
	out, err := s.createLog(file, format, false)
	if errors.Is(err, fs.ErrExist) {
		err = usageErrorf("--capture %s: it is there already, and is not replaced", file)
	}
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	recorder, err := candump.NewRecorder(w, candump.RecorderOptions{OnError: s.warn})
	if err != nil {
		return nil, err
	}
	c := &capture{s: s, file: file, out: out, recorder: recorder, pipe: w, done: make(chan error, 1), beside: make(map[string]canbus.Bus)}
	go c.write(r)
	return c, nil
}

// write writes what the recorder has recorded to the file.
func (c *capture) write(r *io.PipeReader) {
	err := c.copy(r)
	r.CloseWithError(err) // the recorder counts the rest as lost
	c.done <- err
}

func (c *capture) copy(r io.Reader) error {
	log, err := canlog.NewReader(r)
	for err == nil {
		if !log.Ready() {
			if err := c.out.Flush(); err != nil {
				return err
			}
		}
		var f canbus.Frame
		var bus string
		if bus, err = log.ReadFrame(&f); err == nil {
			err = c.out.write(&f, bus)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return err
}

// opened is called with each bus that was opened. On an interface a socket of the capture's
// own hears all sockets of this computer, those of the kernel's ISO-TP too.
func (c *capture) opened(name string, bus canbus.Bus) canbus.Bus {
	if isInterface(name) {
		c.listenBeside(name)
		return bus
	}
	c.mu.Lock()
	c.buses++
	c.mu.Unlock()
	return c.recorder.Wrap(bus, name)
}

func isInterface(bus string) bool {
	scheme, _ := canbus.SplitName(bus)
	return scheme == "" && bus != ""
}

// besideAddresses listens on the interfaces of the addresses on the command line: the
// kernel's sockets are not opened as buses.
func (c *capture) besideAddresses(command *kong.Context) {
	var values []*kong.Value
	for _, part := range command.Path {
		if part.Positional != nil {
			values = append(values, part.Positional)
		}
	}
	for _, flag := range command.Flags() {
		values = append(values, flag.Value)
	}
	for _, v := range values {
		if v.Target.Kind() != reflect.String || v.Target.String() == "" {
			continue
		}
		text, err := onBus(v.Target.String())
		if err != nil {
			continue
		}
		if addrs, err := isotpnet.ParseAddrs(text); err == nil && isInterface(addrs[0].Bus()) {
			c.listenBeside(addrs[0].Bus())
		}
	}
}

// listenBeside captures an interface, once. If it cannot be opened, the command says so.
func (c *capture) listenBeside(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.beside[name]; known {
		return
	}
	bus, err := canbus.Open(context.Background(), name)
	if err != nil {
		return
	}
	if local, ok := bus.(interface{ EchoLocal() }); ok {
		local.EchoLocal()
	}
	c.beside[name] = bus
	c.buses++
	c.wg.Go(func() {
		if err := c.recorder.Listen(bus, name); !errors.Is(err, net.ErrClosed) {
			c.s.warn(fmt.Errorf("--capture: %w", err))
		}
	})
}

// end writes the rest, and says what the file does not have. If no bus was opened there is no
// file in the end.
func (c *capture) end(failed bool) error {
	c.settle()
	c.mu.Lock()
	for _, bus := range c.beside {
		bus.Close()
	}
	c.mu.Unlock()
	c.wg.Wait()
	err := c.recorder.Close()
	c.pipe.Close()
	err = errors.Join(err, <-c.done, c.out.Close())
	if stats := c.recorder.Stats(); stats.Dropped > 0 {
		err = errors.Join(err, fmt.Errorf("%s not captured: they were not read in time", count(stats.Dropped, "frame")))
	}
	if c.buses == 0 && err == nil {
		err = os.Remove(c.file)
		if err == nil && !failed {
			err = usageErrorf("--capture %s: the command has opened no bus", c.file)
		}
		return err
	}
	c.out.tell(c.s.stderr)
	return errors.Join(err, c.out.failed())
}

// settle waits until the sockets beside have read what has come, and what is still on its
// way: as long as frames come, and for a second at most.
func (c *capture) settle() {
	const quiet, most = 20 * time.Millisecond, time.Second
	c.mu.Lock()
	none := len(c.beside) == 0
	c.mu.Unlock()
	if none {
		return
	}
	recorded := func() uint64 {
		s := c.recorder.Stats()
		return s.Recorded + uint64(s.Waiting)
	}
	for end := time.Now().Add(most); time.Now().Before(end); {
		before := recorded()
		time.Sleep(quiet)
		if recorded() == before {
			return
		}
	}
}
