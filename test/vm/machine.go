//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// boot runs the job in a machine and returns its exit status. The job's output
// goes to stdout. Where it has no status to give, because the kernel died or the
// time is over, the error says so.
func boot(ctx context.Context, k *kernel, j *job) (status int, err error) {
	dir, err := os.MkdirTemp("", "isotpnet-kernel-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	initrd := filepath.Join(dir, "initrd")
	console := filepath.Join(dir, "console")
	results := filepath.Join(dir, "results")
	if err := writeImage(initrd, k, j); err != nil {
		return 0, err
	}

	if j.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, j.limit)
		defer cancel()
	}
	runErr := k.run(ctx, initrd, console, results)

	status, err = unpackResults(results, j.outputs)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("not done after %v, ended", j.limit)
	case ctx.Err() != nil:
		err = errors.New("interrupted")
	case runErr != nil:
		err = fmt.Errorf("the machine: %w", runErr)
	case err != nil:
		err = fmt.Errorf("the machine stopped before the program's end: %w", err)
	}
	messages, _ := os.ReadFile(console)
	if err != nil || status != 0 || bytes.Contains(messages, []byte("Call Trace")) {
		printMessages(k, messages)
	}
	return status, err
}

// run runs the kernel until the machine is switched off.
func (k *kernel) run(ctx context.Context, initrd, console, results string) error {
	if k.native {
		return k.runNative(ctx, initrd, console, results)
	}
	return k.emulate(ctx, initrd, console, results)
}

// powerDown is the last message of a machine that is switched off.
var powerDown = regexp.MustCompile(`(?m)^(\[[ .\d]+\] )?reboot: Power down\r?\n?`)

// maxMessages is how much of the kernel's messages is worth printing.
const maxMessages = 20000

func printMessages(k *kernel, b []byte) {
	b = bytes.TrimSpace(powerDown.ReplaceAll(b, nil))
	if len(b) == 0 {
		return
	}
	if len(b) > maxMessages {
		b = append([]byte("..."), b[len(b)-maxMessages:]...)
	}
	fmt.Fprintf(os.Stderr, "--- messages of kernel %s (%s)\n%s\n---\n", k.name, k.release(), b)
}

// unpackResults reads what the machine wrote to its third serial port.
func unpackResults(file string, outputs []string) (status int, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	status = -1
	for t := tar.NewReader(f); ; {
		h, err := t.Next()
		switch {
		case err == io.EOF && status >= 0:
			return status, nil
		case err == io.EOF:
			return 0, errors.New("no exit status")
		case err != nil:
			return 0, err
		}
		name := filepath.Join("/", h.Name)
		switch {
		case name == "/etc/status":
			b, err := io.ReadAll(t)
			if err != nil {
				return 0, err
			}
			if status, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
				return 0, err
			}
		case !wanted(name, outputs):
			return 0, fmt.Errorf("the machine returned %s, which was not asked for", name)
		case h.Typeflag == tar.TypeReg:
			if err := writeFile(name, t); err != nil {
				return 0, err
			}
		}
	}
}

func wanted(name string, outputs []string) bool {
	for _, out := range outputs {
		if rel, err := filepath.Rel(out, name); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}

func writeFile(name string, r io.Reader) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	return f.Close()
}
