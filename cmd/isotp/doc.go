// Command isotp sends and receives ISO-TP messages (ISO 15765-2) on CAN buses.
//
//	isotp demo [ADDRESS] [FILE]  send a file from end to end of a CAN bus
//	isotp send ADDRESS           send messages from standard input
//	isotp recv ADDRESS           write received messages to standard output
//	isotp proxy FROM TO          pass connections between TCP and a CAN bus
//	isotp ecu ADDRESS            simulate ECUs
//	isotp obd ADDRESS            send a functional request, print the answers of all ECUs
//	isotp serve-bus BUS          let programs on other computers use a bus of this one
//	isotp record BUS FILE        record a bus to a log file, as candump -l does
//	isotp replay FILE BUS        send the frames of a log file on a bus
//	isotp link                   list CAN interfaces, make a virtual one, set one up
//
// With --help each tells its flags; those of package isotpnet's Config are the
// same everywhere.
//
// An address is BUS/SEND:LISTEN, as in vcan0/7E0:7E8; package isotpnet
// describes all its forms (see isotpnet.Addr). The peer of send vcan0/7E0:7E8 is
// recv vcan0/7E8:7E0. A bus virtual:NAME lives within one process: there only
// the demo, and obd --simulate, can use it. udp:239.74.163.2:43113 is a bus of UDP
// multicast, for processes on any system (see package canbus/udpmulticast);
// slcan:/dev/ttyACM0@500000 is that of a serial adapter (canbus/slcan), and
// slcan:tcp:HOST:PORT@500000 that of one on another computer's serial line;
// socketcand:HOST:29536/can0 is one of another computer (canbus/socketcand);
// candump:FILE is a recorded one (canbus/candump), and candump:- one on standard input: a
// recv without --count ends with the log.
//
// With --stream, and for the proxy, the peer must be this program or package
// isotpnet too: these are connections of the network isotp-stream.
//
// # Standard input and output
//
// Messages are raw bytes, or with --hex lines of hexadecimal digits. Standard
// output carries them, and the demo's summary, and nothing else. All else goes to
// standard error: with --trace the frames, as candump -L writes them, with --log
// the library's log, with --stats what was counted. An error is one line that
// begins with "isotp: ".
//
// # Exit status
//
//	0  done; a proxy, an ecu, a record, and a recv without --count, also when interrupted
//	1  failed: a transfer, a bus, the input's data; something was lost, as a recv, record or
//	   replay says; the demo's digests differ; interrupted
//	2  the command line is wrong: a flag, its value, the address, the file
//	3  timed out: --timeout, or one of the protocol's own time-outs (N_As, N_Bs, N_Cr);
//	   no ECU has answered an obd
//
// SIGINT and SIGTERM interrupt: the message being sent is aborted and the bus
// closed. A second one ends the process at once.
package main
