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
	stderr   *lockedWriter // traces, logs and progress meet there
	terminal bool          // stderr is a terminal
	columns  func() int    // how wide that is
	capture  *capture      // of --capture, or nil
}

func newStreams(stdin io.Reader, stdout, stderr io.Writer) *streams {
	s := &streams{
		stdin: stdin, stdout: stdout, stderr: &lockedWriter{w: stderr},
		terminal: isTerminal(stderr), columns: func() int { return columnsOf(stderr) },
	}
	if s.terminal && isTerminal(stdout) { // most likely the same one
		s.stdout = &terminalOutput{stdout, s.stderr}
	}
	return s
}

// quiet are the same streams, but on a terminal no progress is shown.
func (s *streams) quiet() *streams {
	quiet := *s
	quiet.terminal = false
	return &quiet
}

// columnsOf returns how wide a terminal is, 80 if it does not say.
func columnsOf(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}

// isTerminal tells of a reader or writer whether it is a terminal.
func isTerminal(stream any) bool {
	if _, ok := stream.(*terminalOutput); ok {
		return true
	}
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// warn prints an error after which the command goes on.
func (s *streams) warn(err error) { fmt.Fprintln(s.stderr, oneLine(err)) }

// oneLine is what is said of an error.
func oneLine(err error) string { return strings.ReplaceAll(errorText(err), "\n", "; ") }

// A lockedWriter lets many goroutines write to w, a line or more at a time. On a terminal,
// it keeps a line of its own below what they write.
type lockedWriter struct {
	mu   sync.Mutex // held for a Write of w; guards line
	w    io.Writer
	line string // "": there is none
}

// eraseLine empties the line in which a terminal's cursor is.
const eraseLine = "\r\x1b[K"

func (l *lockedWriter) Write(p []byte) (int, error) { return l.writeTo(l.w, p) }

// writeTo writes to w, which shares the terminal.
func (l *lockedWriter) writeTo(w io.Writer, p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.line == "" {
		return w.Write(p)
	}
	io.WriteString(l.w, eraseLine)
	n, err := w.Write(p)
	io.WriteString(l.w, l.line)
	return n, err
}

// A terminalOutput is standard output on the terminal where standard error keeps its line.
type terminalOutput struct {
	w      io.Writer
	stderr *lockedWriter
}

func (t *terminalOutput) Write(p []byte) (int, error) { return t.stderr.writeTo(t.w, p) }

// setLine changes the line below; "" takes it away.
func (l *lockedWriter) setLine(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if line != l.line {
		io.WriteString(l.w, eraseLine+line)
		l.line = line
	}
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
