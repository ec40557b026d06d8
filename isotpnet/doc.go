// Package isotpnet is ISO-TP (ISO 15765-2), the transport under UDS and OBD-II on
// CAN, in the manner of package net.
//
//	c, err := isotpnet.Dial("isotp", "vcan0/7E0:7E8")
//	c.SetDeadline(time.Now().Add(2 * time.Second))
//	c.Write([]byte{0x22, 0xF1, 0x90}) // one message: read the VIN
//	n, err := c.Read(buf)             // bytes of one message
//
// Both ends within one program, on a bus that needs no hardware:
//
//	ecu, err := isotpnet.Dial("isotp", "virtual:demo/7E8:7E0")
//	tester, err := isotpnet.Dial("isotp", "virtual:demo/7E0:7E8")
//
// # ISO-TP in six sentences
//
// A CAN frame has an identifier, which says what the frame is and not where it goes, and
// at most 8 bytes of data, 64 in CAN FD. A message that fits into one frame is a Single
// Frame (SF). A longer one starts with a First Frame (FF), which says how long the message
// is; the receiver answers with a flow control (FC), and the rest follows in numbered
// Consecutive Frames (CF). A flow control says continue to send (CTS), WAIT, or overflow
// (OVFLW); how many frames may follow until the next flow control (BS, block size); and the
// least time between them (STmin). A tester and an ECU have one identifier for each
// direction, such as 7E0 and 7E8. The standard calls the bytes that say what a frame is
// N_PCI, the numbers that say which node sends to which N_AI, and its time-outs N_As, N_Bs
// and N_Cr.
//
// # Addresses
//
// An address is a bus, a slash, and the pair of CAN identifiers: left of the colon
// is where we send, right of it is where we listen. All addressing modes of the
// standard have a form: see [Addr].
//
// Buses are found by [example.com/isotp/canbus.Open] among the drivers that the
// program imports. This package brings along Linux's network interfaces (can0,
// vcan0) and "virtual:NAME", a bus within the process. A bus of your own needs no
// name: put it into Dialer.Bus.
//
// All connections of a process that name a bus share it. A name means what it means to the
// thread that dials or listens: on a thread in another network namespace
// (runtime.LockOSThread and setns) can0 is that namespace's can0, and so another bus. A
// network interface that is renamed stays the same bus.
//
// # Networks
//
//	isotp         messages: one Write is one ISO-TP message
//	isotp:user    the same, on the engine of this package, on every system
//	isotp:kernel  the same, on Linux's ISO-TP socket (CAN_ISOTP)
//	isotp-stream  connections as TCP's, many over one pair of addresses; also
//	              isotp-stream:user and isotp-stream:kernel
//
// On "isotp" the kernel's backend is taken if the bus is a network interface of Linux, and
// the kernel has ISO-TP and can do what address, [Config] and [Dialer] ask for; else the
// engine is. [Conn.Backend] and [Config.Logger] say which was taken, and the Logger why. If
// a backend is asked for that cannot do it, the error says why, and is
// errors.ErrUnsupported. Fields that are zero rule no backend out. See "Backends" below for
// the differences.
//
// # Options
//
// [Dial] and [Listen] have none. A [Dialer] and a [ListenConfig] have a [Config], with the
// times, sizes and padding of the protocol, and what else there is to choose, such as a bus
// of your own:
//
//	d := isotpnet.Dialer{Config: isotpnet.Config{FD: true, BRS: true}}
//	c, err := d.Dial("isotp", "can0/7E0:7E8")
//
// The zero Config works with most ECUs. What cannot be is a [*ConfigError], which says what
// would be right.
//
// # What a connection promises
//
// A [Conn] is a net.Conn: deadlines work as TCP's, calls can be made at the same
// time, Close unblocks them. Since ISO-TP carries messages, Write sends one, whole
// or not at all, and Read gives bytes of at most one; what does not fit stays for
// the next Read. [Conn.ReadMessage] tells where messages end. Messages of up to 16 MiB
// are received whole (see Config.MaxMessageSize), and of up to 4 GiB - 1 pass in
// constant memory with [Conn.SendFrom] and [Conn.NextReader]. For io.Copy and other
// code that knows of bytes only there is Config.SplitWrites.
//
// A slow reader loses nothing silently. Flow control holds the peer up; Single Frames, which
// have none, are kept up to a limit, beyond which they are lost, and the reader gets an
// [ErrOverrun]. The same holds for a bus: if it has dropped frames that were not taken from
// it in time, every connection that reads it gets an ErrOverrun.
//
// ISO-TP does not acknowledge the end of a message and has no close. Hence a Write can
// succeed although no node has heard the message (see [Conn]), Dial succeeds although there
// is no peer, and the peer does not learn of a Close.
//
// If a message of more than one frame is aborted, at a deadline or by Close, while the peer
// owes it a flow control, that flow control is still owed: when it comes late it does not
// say which message it answers. So the next message of more than one frame to that peer
// waits until the flow control has come, or until Config.FlowControlTimeout is over, even
// if the pair was closed and dialled anew. Single Frames do not wait. If the deadline of a
// Write comes during this wait, it has sent nothing, and its error is an [*OwedError]. A
// program that often asks a silent peer should bound its wait by FlowControlTimeout, after
// which nothing is owed, rather than by a short write deadline.
//
// A flow control that comes even later can still make one message of the frames of two.
// ISO-TP has no means against that; isotp-stream has a check. Nothing is known of flow
// controls that are owed to other processes on the same pair.
//
// A process can have a pair of addresses open only once, because two connections would both
// answer its messages; a listener for any peer that hears the pair counts, too. With
// Config.ListenOnly any number can be open.
//
// # Errors
//
// Errors are *net.OpError, but for a bare io.EOF. Within are os.ErrDeadlineExceeded,
// net.ErrClosed, a [*ProtocolError] with the standard's N_Result, the errors listed in this
// package, or what the bus has failed with. [Final] tells errors after which every call
// fails from those after which a caller can go on. When a bus fails, the first Read, Write
// and Accept each return its error; the errors of later calls are net.ErrClosed as well,
// which ends a loop that asks for net.ErrClosed. docs/troubleshooting.md says of each text
// what it means, and what to do.
//
// If a message of ours is too long, the error is a [*MessageTooLongError], which says what
// sets the limit; if the peer has refused it, a *ProtocolError with CodeBufferOverflow. Ways
// out are isotp:user above the kernel's limit, Config.SplitWrites, and isotp-stream between
// two programs with this package.
//
// What a peer does wrong in a message that it sends does not fail a Read, because the next
// message is good again. It is counted in [Conn.Stats] and told to [Config.Trace]; with
// Config.ReportAborted it fails a Read that waits.
//
// # Many peers
//
// [ListenPacket] makes a [PacketConn], a net.PacketConn for any number of peers over one or
// more addresses of ours. ReadFrom returns a whole message and the address of its sender.
// WriteTo sends to one peer, or to a functional address, and the answers of all nodes come
// to ReadFrom. A [Listener] for any peer instead accepts a Conn for each peer, and on
// "isotp-stream" every connection of each peer: http.Serve works there, too. All of this
// runs on the engine.
//
// # Streams
//
// A [StreamConn], on "isotp-stream", is for code that expects TCP: net/http, crypto/tls,
// encoding/gob, ssh, gateways. Both ends must be this package's. A dialer asks, a listener
// accepts, either side may speak first, and [StreamConn.CloseWrite] ends one direction. Any
// number of connections share a pair of addresses, which is to them what an IP address is
// to TCP. Each has a window: a connection that is not read does not hold up the others, on
// the kernel's backend neither.
//
//	ln, err := isotpnet.Listen("isotp-stream", "can0/7E8:7E0")
//	http.Serve(ln, handler)
//
//	d := isotpnet.Dialer{}
//	client := http.Client{Transport: &http.Transport{
//		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
//			return d.DialContext(ctx, "isotp-stream", "can0/7E0:7E8")
//		},
//	}}
//
// What the bus loses is not sent again: a bus that works loses nothing. But no loss goes
// unnoticed. Both ends then get syscall.ECONNRESET, and what was read until then is what
// was written. This holds even where the frames of one message complete another one, which
// ISO-TP cannot rule out, because each message of more than one frame ends with a check.
// Both ends must speak the same version of the protocol, 2; if not, the error of Dial names
// both versions.
//
// Dial fails with syscall.ECONNREFUSED if no listener is there, and with a time-out if no
// peer answers. If the peer was restarted, the next thing sent makes it a
// syscall.ECONNRESET; if it is silent the error is syscall.ETIMEDOUT (see Dialer.KeepAlive).
// If the peer does not take a message, the error is a [*ProtocolError] with CodeTimeoutBs
// after a second.
//
// A pair carries one message of more than one frame at a time, as ISO-TP has it. If such a
// message must wait with its First Frame, because the peer still owes a flow control of an
// earlier message, messages of other connections that need no flow control go first:
// those that open and end connections, and windows. On the kernel's backend this is not
// possible once the kernel has the message.
//
// All connections over one pair in a process, and its listener, share one Config.
// While one of them is open, and up to three seconds after its Close if the peer
// does not answer that, "isotp" cannot have the pair.
//
// # Logs
//
// A log or a replay (a bus with canbus.Properties.Waits, such as candump:FILE) loses
// nothing because it is read slowly: a connection with Config.ReadBuffer of unread messages
// holds it up. A connection that is not read at all holds up others for at most 5 s, while
// they wait; then it loses messages, with an ErrOverrun, until it is read again.
// Connections that wait for Accept hold up nothing.
//
// Where the frames' time is the log's (OwnTime), Config.ConsecutiveFrameTimeout and what
// else ends a reception go by it, however fast the log is read, and [MessageInfo] and
// [Trace] report it. Deadlines, and what is sent, go by the clock. A reception that is not
// completed at the log's end is aborted with CodeBusEnded, and one during which the time
// goes back by more than a second with CodeTimeWentBack.
//
// # Time
//
// By this computer's clock no Consecutive Frame leaves before STmin is over. How much later
// one leaves depends on the system: mostly 5 to 40 us on Linux, where the user backend waits
// on a timerfd and the kernel's backend leaves it to the kernel; up to 0.5 ms on Windows,
// whose clock goes in such steps, too, and 15.6 ms before its version 1803; and on any system
// longer while all processors are busy. docs/time.md says more.
//
// Setting the clock changes nothing. Inside a testing/synctest bubble the user backend goes
// by the bubble's clock, to the nanosecond.
//
// # Backends
//
// Both keep the same promises, with the same errors, where the kernel lets us. What
// is different, from Linux 6.1 on:
//
//	                     user                     kernel
//	system               every                    Linux 6.1 or newer
//	bus                  every                    network interfaces
//	fixed: and mixed:    any priority             name the identifiers (one priority)
//	address bytes        each side as it likes    on both sides or on none
//	ListenOnly           yes                      no: OVFLW is sent all the same
//	Listen               any peer, lists, groups  one pair
//	ListenPacket         yes                      no
//	longest message      4 GiB - 1                max_pdu_size of the module can_isotp:
//	                                              8300 (66000 before Linux 6.4)
//	SendFrom, NextReader in constant memory       the whole message in memory
//	slow readers         hold their peer up       lose messages beyond ReadBuffer,
//	                                              4 MiB by default, with ErrOverrun
//	idle Conns           no goroutine             one each, which takes messages out
//	                                              of the socket
//	a Write's deadline   aborts the message; the  the message goes on, and arrives
//	                     next long one waits for  if its flow control comes; every
//	                     the flow control owed    other Write waits for its end
//	Close in mid-message the same, and so does    the same, and the debt is over
//	                     the pair's next Conn     after 1 s only
//	N_As, N_Bs, N_Cr     as in Config             2 s, 1 s, 1 s
//	WAITs accepted       as in Config             any number
//	MaxMessageSize,      yes                      no
//	RateLimit, PaceSpin
//	gap at STmin 0       none                     none, or KernelOptions.FrameTxTime
//	BS and STmin of      every CTS, or the first  the same since Linux 6.9; before,
//	                                              the first flow control, even a WAIT
//	STmin from the last  waited for               only without a CTS in between
//	CF of a block
//	flow control of      is ignored               CodeInvalidFS
//	fewer than 3 bytes
//	empty frame (DLC 0)  is ignored               ends a reception without a word
//	SF_DL 0              is ignored               ends a reception without a word
//	last CF too short    is ignored               the same
//	FF_DL 6 or 7         is ignored               is taken
//	FF_DL 4 GiB - 1      OVFLW                    is ignored
//	interface goes down  each Conn's Read fails   the same; Accept and a Write under
//	                     once with ENETDOWN, and  way, too
//	                     can go on; Accept waits
//	no echo of a frame   CodeTimeoutA             CodeTimeoutA for a Single Frame, else
//	                                              CodeTimeoutBs
//	classic frames to a  are heard                are ignored, and FD frames without
//	Conn with FD                                  Config.FD
//	ReportAborted        every reason             CodeTimeoutCr and CodeWrongSN
//	Trace, Stats         frames and messages      messages: hooks for frames rule it
//	                                              out, counts of frames are 0
//	MessageInfo.First    yes                      of Single Frames
//	AwaitMessage         at the First Frame       at the message's end
//	Progress             yes                      0
//	DeadlineAtFirstFrame yes                      no
//	Drain                also what is coming      what has come
//	SyscallConn, Control no                       yes
//	Close                at once                  5 to 100 ms
package isotpnet
