package main

import "io"

// A helpCmd has the topic addresses: commandHelp has replaced all others.
type helpCmd struct {
	Topic []string `arg:"" optional:"" help:"addresses, or a command, as send or link up."`
}

// commandHelp returns the command line for help of a command, send --help for help send,
// and others as they are.
func commandHelp(args []string) []string {
	if len(args) == 0 || args[0] != "help" || len(args) == 2 && args[1] == "addresses" {
		return args
	}
	return append(args[1:len(args):len(args)], "--help")
}

// Run prints how addresses and buses are written.
func (*helpCmd) Run(s *streams) error {
	_, err := io.WriteString(s.stdout, addressHelp)
	return err
}

// helpAddresses is the command that prints addressHelp.
const helpAddresses = "isotp help addresses"

const addressHelp = `An address is BUS/ENDPOINT, as vcan0/7E0:7E8.

ENDPOINT: left of the colon is the identifier on which this side sends, right of it the one
on which it listens. So the peer of 7E0:7E8 has the address 7E8:7E0. Numbers are
hexadecimal; 1 to 3 digits are an identifier of 11 bits, 8 digits one of 29 bits.

	7E0:7E8               normal addressing, 11 bits
	18DA10F1:18DAF110     normal addressing, 29 bits
	fixed:10:F1           normal fixed addressing, to 10 from F1 (18DA10F1 and 18DAF110)
	641#55:642#F1         extended addressing: first data byte 55 sent, F1 heard
	641#99:642#99         mixed addressing, 11 bits: address extension 99
	mixed:10:F1#99        mixed addressing, 29 bits: to 10 from F1, address extension 99
	7DF:                  only sends, to any number of ECUs (functional); also 6F1#EF:,
	                      func:33:F1 and func:33:F1#99
	:7E8                  only listens, with --listen-only
	7E8:7E0,7DF           an ECU that also hears requests to all (ecu)
	fixed::10,func:33     an ECU 10 for any tester, and requests to the group 33 (ecu)
	fixed::F1             a tester F1 of any ECU (obd --to)
	obd  obd29            an OBD-II tester, 11 and 29 bits (obd); ECUs of it (ecu)

BUS:

	can0                  a CAN interface of Linux (isotp link lists them)
	udp:239.74.163.2:43113
	                      UDP multicast, on any system; udp:239.74.163.2%lo:43113 on one
	                      computer without a network
	slcan:/dev/ttyACM0@500000
	                      a serial adapter at 500 kbit/s; slcan:COM3@500000 on Windows,
	                      slcan:tcp:HOST:PORT@500000 for a serial line across the network
	socketcand:HOST:29536/can0
	                      a bus of another computer (isotp serve-bus)
	candump:drive.log     a log file; candump:- is one on standard input. Options may follow:
	                      ,fast  ,speed=10  ,interface=can0  ,maxpause=1s
	virtual:NAME          a bus within one process: for demo, and for obd --simulate

The proxy also takes tcp:HOST:PORT and unix:PATH, for sockets of the system.
`
