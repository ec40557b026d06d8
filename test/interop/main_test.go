// Package interop tests against software that is not ours, and our command as the
// processes that users start. All of it runs in a network namespace of its own.
package interop

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"example.com/isotp/test/netns"
)

// TestMain leaves these tests out of short runs: most of their time Python starts.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("not in short runs")
		return
	}
	netns.Main(m)
}

// build builds the command isotp, once for all tests, and returns its path.
func build(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var built = sync.OnceValues(func() (string, error) {
	path, err := filepath.Abs("../.bin/isotp")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", path, "example.com/isotp/cmd/isotp")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is handed to others: one file
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

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
