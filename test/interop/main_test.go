// Package interop tests against software that is not ours, and our command as the
// processes that users start. All of it runs in a network namespace of its own.
package interop

import (
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/isotp/test/netns"
)

func TestMain(m *testing.M) { netns.Main(m) }

// build builds the command isotp, and returns its path.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "isotp")
	if out, err := exec.Command("go", "build", "-o", path, "example.com/isotp/cmd/isotp").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// A process is a program that was started, and what it writes.
type process struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr bytes.Buffer
}

// start starts a program, which ends with the test.
func start(t *testing.T, stdin io.Reader, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(t.Context(), name, args...)}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// wait waits for a program to end well, and returns what it wrote.
func (p *process) wait(t *testing.T) []byte {
	t.Helper()
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(p.cmd.Args, " "), err, p.stderr.String())
	}
	return p.stdout.Bytes()
}
