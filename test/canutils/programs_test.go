//go:build linux

package canutils

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/isotp/isotpnet"
	"example.com/isotp/test/vm/cantest"
)

func TestMain(m *testing.M) { cantest.Main(m) }

var backends = []string{"isotp:kernel", "isotp:user"}

var interfaces atomic.Uint32

// newInterface makes a virtual CAN interface, until the test's end.
func newInterface(t *testing.T) string {
	t.Helper()
	cantest.Need(t)
	name := fmt.Sprintf("utils%d", interfaces.Add(1))
	if err := cantest.AddLink(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cantest.DeleteLink(name) })
	if err := cantest.SetLink(name, true); err != nil {
		t.Fatal(err)
	}
	return name
}

func dial(t *testing.T, network, address string, config isotpnet.Config) *isotpnet.Conn {
	t.Helper()
	c, err := (&isotpnet.Dialer{Config: config}).Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*isotpnet.Conn)
}

// patience is how long anything may take. A message of 8300 bytes with 10 ms between
// frames takes 12 s.
const patience = 60 * time.Second

// need skips the test if a program is not there. In a machine it fails.
func need(t *testing.T, program string) {
	t.Helper()
	cantest.Need(t)
	if cantest.InMachine() {
		cantest.NeedExactTime(t) // there no time is spent on waiting for STmin: minutes otherwise
	}
	if _, err := exec.LookPath(program); err != nil {
		if cantest.InMachine() {
			t.Fatalf("%v: the machine needs -a can-utils, and -a PATH for our isotp", err)
		}
		t.Skipf("%v: it is in Debian's package can-utils, or ours", err)
	}
}

// A program runs until the test's end, if it does not end by itself.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
	lines chan string // of its output
	told  bytes.Buffer
}

func command(t *testing.T, name string, args []string) *exec.Cmd {
	t.Helper()
	need(t, name)
	return exec.CommandContext(t.Context(), name, args...)
}

// start starts a program.
func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: command(t, name, args), lines: make(chan string, 1000)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// Some end when they have read all of it.
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = &p.told
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(p.lines)
		for s := bufio.NewReader(out); ; {
			line, err := s.ReadString('\n')
			if line != "" {
				p.lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		for range p.lines {
		}
		<-done
		p.cmd.Wait()
	})
	return p
}

// rest returns what the program writes until its end.
func (p *program) rest() string {
	p.t.Helper()
	var all strings.Builder
	for late := time.After(patience); ; {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return all.String()
			}
			all.WriteString(line)
		case <-late:
			p.t.Fatalf("%v does not end", p.cmd.Args)
		}
	}
}

// next returns the next line.
func (p *program) next() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.cmd.Wait() // until then it may write to told
			p.t.Fatalf("%v has ended: %s", p.cmd.Args, p.told.String())
		}
		return line
	case <-time.After(patience):
		p.t.Fatalf("%v writes nothing", p.cmd.Args)
	}
	return ""
}

// run runs a program to its end.
func run(t *testing.T, stdin io.Reader, name string, args ...string) error {
	cmd := command(t, name, args)
	cmd.Stdin = stdin
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		return errors.Join(err, fmt.Errorf("%v: %s", cmd.Args, out))
	}
	return nil
}

// awaitReceiver waits until a socket on an interface receives an identifier, 000 for
// all, of 29 bits with the flag that Linux has for these: a program has no other way to say
// that it is ready. protocol is isotp or raw.
func awaitReceiver(t *testing.T, name, id, protocol string) {
	t.Helper()
	awaitReceivers(t, name, id, protocol, 1)
}

// awaitReceivers waits until so many sockets do.
func awaitReceivers(t *testing.T, name, id, protocol string, n int) {
	t.Helper()
	path := "/proc/self/net/can/rcvlist_sff"
	switch {
	case id == "000":
		path = "/proc/self/net/can/rcvlist_all"
	case len(id) > 3:
		path = "/proc/self/net/can/rcvlist_eff"
	}
	entry := regexp.MustCompile(fmt.Sprintf(`(?m)^ *%s +%s .* %s *$`, name, id, protocol))
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		list, err := os.ReadFile(path)
		switch {
		case err != nil:
			t.Fatal(err)
		case len(entry.FindAll(list, -1)) >= n:
			return
		case time.Since(start) > patience:
			t.Fatalf("no %s socket receives %s on %s:\n%s", protocol, id, name, list)
		}
	}
}
