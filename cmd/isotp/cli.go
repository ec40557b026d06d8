package main

import (
	"context"
	"io"
	"os"
	"runtime/debug"
	"sync"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// cli is the command line.
type cli struct {
	Demo  demoCmd  `cmd:"" help:"Send a file from end to end of a CAN bus, and compare the digests."`
	Send  sendCmd  `cmd:"" help:"Send messages from standard input."`
	Recv  recvCmd  `cmd:"" help:"Write received messages to standard output."`
	Proxy proxyCmd `cmd:"" help:"Pass connections between TCP and a CAN bus."`
	Ecu   ecuCmd   `cmd:"" help:"Simulate ECUs."`
	Obd   obdCmd   `cmd:"" help:"Send a functional request, and print the answers of all ECUs."`
	Link  linkCmd  `cmd:"" help:"List CAN interfaces and what the kernel can do; make a virtual one; set one up with a bit rate, or down."`

	Record recordCmd `cmd:"" help:"Record a bus to a log file, as candump -l does."`
	Replay replayCmd `cmd:"" help:"Send the frames of a log file on a bus."`

	ServeBus serveBusCmd `cmd:"" help:"Let programs on other computers use buses of this one."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

const description = `
Sends and receives ISO-TP messages (ISO 15765-2) on CAN buses.

Exit status:

	0  done; a proxy, an ecu, a record, and a recv without --count, also when interrupted
	1  failed: a transfer, a bus, the input's data, the demo's digests; interrupted
	2  the command line is wrong: a flag, its value, the address, the file
	3  timed out: --timeout, or a time-out of the protocol; no ECU has answered
`

// run is the program; it returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := &streams{stdin: stdin, stdout: stdout, stderr: &lockedWriter{w: stderr}, terminal: isTerminal(stderr)}

	told := false // --help or --version has said everything
	parser := kong.Must(new(cli),
		kong.Name("isotp"),
		kong.Description(description),
		kong.Vars{"version": version(), "demoSeconds": demoSeconds},
		kong.Groups{"config": "Protocol (zero: the default):"},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.WithHyphenPrefixedParameters(true), // --max-wait-frames -1
		kong.Writers(stdout, s.stderr),
		kong.Exit(func(int) { told = true }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s),
	)
	command, err := parser.Parse(args)
	switch {
	case told:
		return exitOK
	case err != nil:
		err = &usageError{err}
	default:
		err = command.Run()
	}
	return s.report(err)
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return "isotp " + info.Main.Version
	}
	return "isotp"
}

// streams are what a command reads and writes.
type streams struct {
	stdin    io.Reader
	stdout   io.Writer
	stderr   io.Writer // a Write at a time, as traces, logs and progress meet there
	terminal bool      // stderr is one
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// input returns standard input, whose Read fails with the cause once ctx is done.
// It must be closed; what is then still in the middle of a Read of standard input
// cannot be called back, and is left behind.
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
