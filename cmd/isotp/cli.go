package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Demo  demoCmd  `cmd:"" help:"Send a file from end to end of a CAN bus, and compare the digests."`
	Send  sendCmd  `cmd:"" help:"Send messages from standard input."`
	Recv  recvCmd  `cmd:"" help:"Write received messages to standard output."`
	Proxy proxyCmd `cmd:"" help:"Pass connections, or with --hex messages, between TCP and a CAN bus."`
	Tun   tunCmd   `cmd:"" help:"Make a network interface whose packets go over a CAN bus."`
	Ecu   ecuCmd   `cmd:"" help:"Simulate ECUs."`

	Request requestCmd `cmd:"" help:"Send requests to an ECU, and print its answers."`
	Obd     obdCmd     `cmd:"" help:"Send a functional request, and print the answers of all ECUs."`
	Scan    scanCmd    `cmd:"" help:"Find the ECUs on a bus."`
	Link    linkCmd    `cmd:"" help:"List CAN interfaces and what the kernel can do; make a virtual one; set one up with a bit rate, or down."`

	Dump  dumpCmd  `cmd:"" help:"Show the frames of a bus or a log, and what ISO-TP says in them."`
	Sniff sniffCmd `cmd:"" help:"Show the messages on a bus or in a log, of both directions, and what was given up."`

	Perf perfCmd `cmd:"" help:"Measure messages: throughput, gaps, STmin asked and kept, share of the line."`
	Plot plotCmd `cmd:"" help:"Draw messages, frames, throughput and gaps: a report for a browser."`

	Record recordCmd `cmd:"" help:"Record a bus to a log file, as candump -l does."`
	Replay replayCmd `cmd:"" help:"Send the frames of a log file on a bus."`

	Convert convertCmd `cmd:"" help:"Convert a log to another format: candump, ASC, TRC, BLF, pcap, pcapng."`

	ServeBus serveBusCmd `cmd:"" help:"Let programs on other computers use buses of this one."`

	Help helpCmd `cmd:"" help:"Print how addresses, buses or messages are written (isotp help addresses, buses, hex), or the help of a command."`

	Completion completionCmd `cmd:"" help:"Print a script with which bash, zsh or fish complete the command line."`
	Man        manCmd        `cmd:"" help:"Print the manual page."`
	Complete   completeCmd   `cmd:"" hidden:"" help:"Print what the last of the words of a command line may become."`

	Capture string `placeholder:"FILE" help:"Write the frames of the buses that the command opens, both ways, to a new file, in the format that its name ends in, as drive.pcapng (isotp convert --help lists them)."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

const description = `
Sends and receives ISO-TP messages (ISO 15765-2) on CAN buses.

The environment variable ISOTP_BUS is the bus of addresses that name none, as 7E0:7E8.
` + exitStatuses

// grammar returns what the parser has to know of the command line: all commands, or if the
// first word is one, that alone. All of them take longer to build than most take to run.
func grammar(args []string) any {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") || slices.Contains(commandsThatKnowAll, args[0]) {
		return new(cli)
	}
	whole := reflect.TypeFor[cli]()
	command, ok := whole.FieldByNameFunc(func(field string) bool {
		return strings.EqualFold(field, strings.ReplaceAll(args[0], "-", "")) // serve-bus
	})
	if _, isCommand := command.Tag.Lookup("cmd"); !ok || !isCommand {
		return new(cli)
	}
	fields := []reflect.StructField{command}
	for field := range whole.Fields() {
		if _, isCommand := field.Tag.Lookup("cmd"); !isCommand {
			fields = append(fields, field)
		}
	}
	return reflect.New(reflect.StructOf(fields)).Interface()
}

// commandsThatKnowAll tell of other commands.
var commandsThatKnowAll = []string{"man", "complete"}

// newParser returns the parser of a grammar, which calls told when --help or --version has
// said everything.
func newParser(ctx context.Context, grammar any, s *streams, told func()) *kong.Kong {
	return kong.Must(grammar,
		kong.Name("isotp"),
		kong.Description(description),
		kong.Vars{"version": version(), "demoSeconds": demoSeconds},
		kong.Groups{"config": "Protocol (zero: the default):"},
		kong.Help(printHelp),
		kong.PostBuild(addExamples),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.WithHyphenPrefixedParameters(true), // --max-wait-frames -1
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(decodeDuration)),
		kong.KindMapper(reflect.Int, kong.MapperFunc(decodeInt)),
		kong.KindMapper(reflect.Int64, kong.MapperFunc(decodeInt)),
		kong.KindMapper(reflect.Uint64, kong.MapperFunc(decodeUint)),
		kong.KindMapper(reflect.Float64, kong.MapperFunc(decodeFloat)),
		kong.Writers(s.stdout, s.stderr),
		kong.Exit(func(int) { told() }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s),
	)
}

// decodeDuration and those below it say what they want, where the parser's own would name types of
// the language that the program is written in.
func decodeDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("time", &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a time with its unit, as 300us, 50ms or 2s", text)
	}
	target.SetInt(int64(d))
	return nil
}

func decodeInt(ctx *kong.DecodeContext, target reflect.Value) error {
	return decodeNumber(ctx, "whole number, as 10", func(text string) error {
		n, err := strconv.ParseInt(text, 0, target.Type().Bits())
		target.SetInt(n)
		return err
	})
}

func decodeUint(ctx *kong.DecodeContext, target reflect.Value) error {
	return decodeNumber(ctx, "whole number from 0 on, as 10", func(text string) error {
		n, err := strconv.ParseUint(text, 0, target.Type().Bits())
		target.SetUint(n)
		return err
	})
}

func decodeFloat(ctx *kong.DecodeContext, target reflect.Value) error {
	return decodeNumber(ctx, "number, as 0.5 or 10", func(text string) error {
		x, err := strconv.ParseFloat(text, target.Type().Bits())
		target.SetFloat(x)
		return err
	})
}

func decodeNumber(ctx *kong.DecodeContext, want string, parse func(text string) error) error {
	var text string
	if err := ctx.Scan.PopValueInto("number", &text); err != nil {
		return err
	}
	switch err := parse(text); {
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%s is too large a number", text)
	case err != nil:
		return fmt.Errorf("%q is not a %s", text, want)
	}
	return nil
}

// run is the program; it returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := newStreams(stdin, stdout, stderr)
	told := false
	args = commandHelp(args)
	parser := newParser(ctx, grammar(args), s, func() { told = true })
	command, err := parser.Parse(args)
	switch {
	case told:
		return exitOK
	case err != nil:
		err = &usageError{err: err, help: helpOf(err)}
	default:
		err = s.runCaptured(ctx, command)
	}
	return s.report(err)
}

// helpOf returns the command that helps with what the parser has refused.
func helpOf(err error) string {
	command := "isotp"
	if e, ok := errors.AsType[*kong.ParseError](err); ok {
		if node := e.Context.Selected(); node != nil {
			command = node.FullPath()
		}
	}
	return command + " --help"
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return "isotp " + info.Main.Version
	}
	return "isotp"
}
