package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// A helpCmd has a topic: commandHelp has replaced all commands.
type helpCmd struct {
	Topic []string `arg:"" optional:"" help:"addresses, buses or hex; or a command, as send or link up."`
}

// Examples implements exampler.
func (*helpCmd) Examples() []string {
	return []string{"isotp help addresses", "isotp help link up"}
}

// The commands that print the topics.
const (
	helpAddresses = "isotp help addresses"
	helpBuses     = "isotp help buses"
	helpHex       = "isotp help hex"
)

// topics are what help tells of beside the commands.
var topics = map[string]string{
	"addresses": addressHelp,
	"buses":     busHelp,
	"hex":       hexHelp,
}

// commandHelp returns the command line for help of a command, send --help for help send,
// and others as they are.
func commandHelp(args []string) []string {
	if len(args) == 0 || args[0] != "help" || len(args) == 2 && (topics[args[1]] != "" || args[1] == "--help") {
		return args
	}
	return append(args[1:len(args):len(args)], "--help")
}

// Run prints a topic.
func (c *helpCmd) Run(s *streams) error {
	name := strings.Join(c.Topic, " ")
	if topics[name] == "" {
		return usageErrorf("%q is no topic: want addresses, buses or hex; for a command's help write help first, as isotp help send", name)
	}
	_, err := io.WriteString(s.stdout, topics[name])
	return err
}

// printHelp prints what --help does, and names the topics.
func printHelp(o kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintf(ctx.Stdout, "\nMore: isotp help %s.\n", strings.Join(slices.Sorted(maps.Keys(topics)), ", isotp help "))
	return err
}

const addressHelp = `An address is BUS/ENDPOINT, as vcan0/7E0:7E8. Without the bus, as 7E0:7E8, it is on the
bus whose name is in the environment variable ISOTP_BUS. For BUS see isotp help buses.

ENDPOINT: left of the colon is the identifier on which this side sends, right of it the one
on which it listens. So the peer of 7E0:7E8 has the address 7E8:7E0. Numbers are
hexadecimal, with or without 0x; 1 to 3 digits are an identifier of 11 bits, 8 digits one of
29 bits.

	7E0:7E8               normal addressing, 11 bits
	18DA10F1:18DAF110     normal addressing, 29 bits
	fixed:10:F1           normal fixed addressing, to 10 from F1 (18DA10F1 and 18DAF110)
	641#55:642#F1         extended addressing: first data byte 55 sent, F1 heard
	641#99:642#99         mixed addressing, 11 bits: address extension 99
	mixed:10:F1#99        mixed addressing, 29 bits: to 10 from F1, address extension 99
	641#55:18DAF110       each side as it pleases
	fixed@14DA:10:F1      other upper 16 of the 29 bits than 18DA; so mixed@... and func@...

	7DF:                  only sends, to any number of ECUs (functional); also 6F1#EF:,
	                      func:33:F1 and func:33:F1#99
	:7E8                  only listens, with --listen-only; also :func:33:F1

	7E8:7E0,7DF           an ECU that also hears requests to all (ecu)
	fixed::10,func:33     an ECU 10 for any tester, and requests to the group 33 (ecu);
	                      mixed::10#99,func:33#99 is the same with address extension 99
	7E0:7E8,7E1:7E9       a tester of two ECUs (obd --to, request --functional)
	fixed::F1             a tester F1 of any ECU (obd --to, request --functional)
	obd  obd29            an OBD-II tester, 11 and 29 bits (obd, request); ECUs of it (ecu)

The proxy also takes tcp:HOST:PORT and unix:PATH, for sockets of the system.
`

const busHelp = `A bus stands before the last slash of an address, as vcan0 in vcan0/7E0:7E8. Where a
command line names none, the environment variable ISOTP_BUS does:

	export ISOTP_BUS=udp:239.74.163.2:43113
	isotp request 7E0:7E8 22F190

BUS:

	can0                  a CAN interface of Linux (isotp link lists them)
	udp:239.74.163.2:43113
	                      UDP multicast, on any system: all computers of a network that use
	                      the name; python-can's udp_multicast is on it too
	udp:239.74.163.2%lo:43113
	                      the same on one computer without a network; %eth0: on that
	                      interface; udp:[ff15::1]:43113 with IPv6. A bit rate may follow:
	                      @500000
	slcan:/dev/ttyACM0@500000
	                      a serial adapter at 500 kbit/s; slcan:COM3@500000 on Windows,
	                      slcan:tcp:HOST:PORT@500000 for a serial line across the network.
	                      Options may follow:
	                      ,data=2000000  ,baud=1000000  ,listen  ,wait=5s  ,family=canable
	kvaser:0@500000       a Kvaser adapter's channel on Windows (experimental; on Linux it is can0).
	                      Options may follow: ,data=2000000  ,listen
	pcan:USB1@500000      an adapter of PEAK on Windows or macOS (on Linux it is can0):
	                      experimental. Options may follow:
	                      ,data=2000000  ,listen  ,noecho
	j2534:openport@500000 a pass-thru adapter (SAE J2534-1) on Windows, by a part of its name;
	                      j2534:@500000 if one is installed: experimental. Options may
	                      follow: ,noecho
	socketcand:HOST:29536/can0
	                      a bus of another computer (isotp serve-bus, or socketcand)
	cannelloni:udp:HOST:20000
	                      the bus at the other end of a tunnel, cannelloni or a program for a
	                      microcontroller; cannelloni:tcp:HOST:20000, and cannelloni:tcp-listen:
	                      if the other end is the client. A bit rate may follow: @500000, and
	                      options: ,data=2000000  ,local=:20001  ,mtu=1500  ,any  ,from=HOST
	candump:drive.log     a log file, in any format that isotp convert reads; candump:- is one
	                      on standard input. Options may follow:
	                      ,fast  ,speed=10  ,gap=10ms  ,interface=can0  ,maxpause=1s
	virtual:NAME          a bus within one process: for demo, and for --simulate

A serial adapter has one port, which one program can open. isotp serve-bus shares it:

	isotp serve-bus can0=slcan:/dev/ttyACM0@500000
	isotp recv --hex socketcand:localhost:29536/can0/7E0:7E8
`

const hexHelp = `Messages on the command line, and the lines of standard input with --hex, are bytes of two
hexadecimal digits, in upper or lower case. What people paste is taken as it is:

	22F190
	22 F1 90              # what stands behind a # is a comment
	0x22, 0xF1, 0x90
	22:F1:90
	22.F1.90
	22-F1-90
	{0x22, 0xF1, 0x90};
	\x22\xF1\x90
	22F1 90

White space, commas, dots, colons, semicolons, minuses, brackets and braces separate bytes, or
groups of bytes; each group may begin with 0x or \x. Half a byte, as in 22F, is an error. Lines without digits are skipped.

On a command line write a message as one argument: '22 F1 90', in quotes, if it has spaces.
`
