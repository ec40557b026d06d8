package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// streams are what a command reads and writes.
type streams struct {
	stdin    io.Reader
	stdout   io.Writer
	stderr   io.Writer // takes one Write at a time, as traces, logs and progress meet there
	terminal bool      // stderr is a terminal
}

func newStreams(stdin io.Reader, stdout, stderr io.Writer) *streams {
	return &streams{stdin: stdin, stdout: stdout, stderr: &lockedWriter{w: stderr}, terminal: isTerminal(stderr)}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// warn prints an error after which the command goes on.
func (s *streams) warn(err error) { fmt.Fprintln(s.stderr, oneLine(err)) }

// oneLine is what is said of an error.
func oneLine(err error) string { return strings.ReplaceAll(errorText(err), "\n", "; ") }

// A lockedWriter lets many goroutines write to w.
type lockedWriter struct {
	mu sync.Mutex // held for a Write of w
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// input returns standard input, whose Read fails with the cause once ctx is done.
// The caller closes it. A Read of standard input that is under way then cannot be called
// back: its goroutine stays until the Read returns.
func (s *streams) input(ctx context.Context) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, s.stdin)
		w.CloseWithError(err)
	}()
	stop := context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
	return &input{r, stop}
}

type input struct {
	*io.PipeReader
	stop func() bool
}

func (i *input) Close() error {
	i.stop()
	return i.PipeReader.Close()
}

// closeAfter closes c when ctx is done, unless stop is called before that.
func closeAfter(ctx context.Context, c io.Closer) (stop func() bool) {
	return context.AfterFunc(ctx, func() { c.Close() })
}
