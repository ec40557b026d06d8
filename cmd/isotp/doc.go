// Command isotp sends and receives ISO-TP messages (ISO 15765-2) on CAN buses.
//
//	isotp demo [ADDRESS] [FILE]  send a file from end to end of a CAN bus
//	isotp send ADDRESS           send messages from standard input
//	isotp recv ADDRESS           write received messages to standard output
//	isotp proxy FROM TO          pass connections between TCP and a CAN bus
//	isotp tun ADDRESS            make a network interface whose packets go over a CAN bus
//	isotp ecu ADDRESS            simulate ECUs
//	isotp request ADDRESS HEX    send requests to an ECU, print its answers
//	isotp obd ADDRESS            send a functional request, print the answers of all ECUs
//	isotp scan BUS               find the ECUs on a bus
//	isotp serve-bus BUS          let programs on other computers use a bus of this one
//	isotp dump [BUS|FILE]        show frames, and what ISO-TP says in them
//	isotp sniff [BUS|FILE]       show whole messages of both directions, what was given up
//	isotp perf [BUS|FILE]        measure messages: throughput, gaps, STmin kept
//	isotp plot [BUS|FILE]        draw messages, frames and gaps in a report for a browser
//	isotp record BUS FILE        record a bus to a log file, as candump -l does
//	isotp replay FILE BUS        send the frames of a log file on a bus
//	isotp convert IN OUT         convert a log to another format
//	isotp link                   list CAN interfaces and adapters, make a virtual
//	                             interface, set one up
//	isotp help addresses         tell how addresses are written; so help buses, help hex
//	isotp completion SHELL       print a script that makes bash, zsh or fish complete
//	isotp man                    print the manual page
//
// An address or a bus that the command line does not name is on the bus in the environment
// variable ISOTP_BUS: isotp request 7E0:7E8 22F190.
//
// isotp COMMAND --help lists a command's flags; those for the fields of package isotpnet's
// Config are the same for every command. isotp --help lists the exit statuses, which are
// also the same for every command.
//
// With --capture FILE every command writes the frames of the buses that it opens to a log.
//
// With --stream, and for the proxy without --hex, the peer must be this program or package
// isotpnet too: these are connections of the network isotp-stream.
//
// # Standard input and output
//
// Messages are raw bytes, or with --hex lines of hexadecimal digits. Standard output
// carries what a command is asked for: recv's messages, the answers to request and obd, the
// ECUs that scan finds, what dump and sniff show and perf measures, the logs of record and
// convert, plot's report, the demo's summary, link's tables, where serve-bus listens. All else
// goes to standard error: with --trace the frames, as candump -L writes them, with --log the
// library's log, with --stats what was counted. Of an error that ends the command one line,
// the last, begins with "isotp: "; warnings and notices do not.
//
// SIGINT and SIGTERM interrupt: the message being sent is aborted and the bus
// closed. A second signal ends the process at once.
package main
