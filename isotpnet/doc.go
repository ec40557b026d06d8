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
// A CAN frame has an identifier, which says what it is and not for whom, and at most
// 8 bytes of data, 64 in CAN FD. A message that fits into one frame is a Single
// Frame (SF). A longer one begins with a First Frame (FF), which says how long it
// is; the receiver answers with a flow control (FC), and the rest follows in
// numbered Consecutive Frames (CF). A flow control says continue to send (CTS),
// WAIT, or overflow (OVFLW); how many frames may follow until the next one (BS,
// block size); and the least time between them (STmin). A tester and an ECU have one
// identifier for each direction, such as 7E0 and 7E8. The standard's names for this
// are N_PCI for the bytes that say what a frame is, N_AI for who sends to whom, and
// N_As, N_Bs, N_Cr for its time-outs.
//
// # Networks
//
//	isotp         messages: one Write is one ISO-TP message
//	isotp:user    the same, on the engine of this package, on every system
//	isotp:kernel  the same, on Linux's ISO-TP socket (CAN_ISOTP)
//	isotp-stream  connections as TCP's, many over one pair of addresses; also
//	              isotp-stream:user and isotp-stream:kernel
//
// isotp takes the kernel's backend on a network interface of Linux, if the kernel
// has it and can do what address, [Config] and [Dialer] ask for; else the engine.
// [Conn.Backend] and [Config.Logger] say which was taken, and the Logger why. A
// backend that is asked for and cannot says why, with errors.ErrUnsupported. Fields
// that are zero never decide. See "Backends" below for the differences.
//
// # Streams
//
// On isotp-stream a [StreamConn] is for code that expects TCP: net/http, crypto/tls,
// encoding/gob, ssh, gateways. Both ends must be this package's. A dialler asks, a
// listener accepts, either side may speak first, and [StreamConn.CloseWrite] ends
// one direction. Any number of connections share a pair of addresses, which to them
// is what an IP address is to TCP, and each has a window: one that nobody reads
// does not hold up the others, on the kernel's backend neither.
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
// What the bus loses is not sent again: ISO-TP sees to it on a bus that works. But
// no loss goes unnoticed: both ends then get syscall.ECONNRESET, and what was read
// is what was written. A check at the end of each message that has more than one frame
// sees to that even where one message's frames complete another, which ISO-TP cannot
// rule out. Both ends must speak the same version of the protocol, which is 2 since
// there is that check: the error of Dial names both. Dial fails with syscall.ECONNREFUSED where nobody listens,
// and with a time-out where nobody answers. A peer that was restarted is
// syscall.ECONNRESET as soon as anything is sent, one that is silent
// syscall.ETIMEDOUT (see Dialer.KeepAlive); a message that nobody takes is a
// [*ProtocolError] with CodeTimeoutBs after a second.
//
// One message at a time is under way over a pair, as ISO-TP has it. One that is waiting
// with its first frame, as the peer still owes a flow control of an earlier message, is
// put behind those of other connections that need no flow control, such as opening,
// ending and windows; the kernel's backend cannot do that once the kernel has it.
//
// All connections over one pair in a process, and its listener, share one Config.
// While one of them is open, and up to three seconds after its Close if the peer
// does not answer that, "isotp" cannot have the pair.
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
// All who name a bus in one process share it. A name means what it means to the thread
// that dials or listens: on one in another network namespace (runtime.LockOSThread and
// setns) can0 is that one's can0, and another bus. An interface that gets another name
// stays the bus that it was.
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
// A reader that is slow loses nothing silently: the peer is held up by flow
// control, and Single Frames, which have none, are kept up to a limit and lost
// with an [ErrOverrun] then. Neither does a bus: frames that it has dropped, as nobody
// took them from it in time, are an ErrOverrun of every connection that reads it.
//
// ISO-TP does not acknowledge the end of a message and has no close. Hence a Write
// can succeed although nobody has heard it (see [Conn]), Dial succeeds although
// there is no peer, and the peer does not learn of a Close.
//
// A message of more than one frame that is given up while the peer owes it a flow
// control, at a deadline or by Close, leaves that owed: when it comes late it does not say
// which message it answers. So the next message of more than one frame to that peer,
// though the pair was closed and dialled anew, waits until it has come, or until
// Config.FlowControlTimeout is over; Single Frames do not wait. A Write whose deadline
// comes in that wait has sent nothing, and its error is an [*OwedError]. Who asks a silent
// peer often bounds the wait by FlowControlTimeout, which leaves nothing owed, rather than
// by a short write deadline. A flow control that comes even later can still make one
// message of the frames of two, against which ISO-TP has no means and isotp-stream has a
// check; and of other processes that use the pair nothing is known.
//
// In one process one pair of addresses can be open once, since both connections
// would answer the same messages: neither a pair nor a listener for any peer that
// hears it can be opened beside it. Any number can be with Config.ListenOnly.
//
// # Many peers
//
// [ListenPacket] makes a [PacketConn], a net.PacketConn for any number of peers over
// one or more addresses of ours: each ReadFrom gives a whole message and whose it is,
// WriteTo sends to one peer, or to a functional address; what all those answer comes
// to ReadFrom. A [Listener] for any peer accepts a Conn for each instead, and on
// isotp-stream every connection of each: http.Serve works there, too. All of it is
// on the engine.
//
// # Errors
//
// Errors are *net.OpError, but for a bare io.EOF. Within are os.ErrDeadlineExceeded
// and net.ErrClosed, a [*ProtocolError] with the standard's N_Result, the errors
// listed in this package, or what the bus has failed with. [Final] tells those after
// which every call fails from those after which one can go on. When a bus fails the
// first Read, Write and Accept return its error, and later ones one that is
// net.ErrClosed as well, so that a loop ends which asks for that.
//
// A message that is too long is a [*MessageTooLongError], which says whose limit that
// is, or where the peer has refused it a *ProtocolError with CodeBufferOverflow. Ways out are
// isotp:user above the kernel's limit, Config.SplitWrites, and isotp-stream between two
// programs with this package.
//
// What a peer does wrong in a message that it sends does not concern Read, because
// the next message is good again: it is in [Conn.Stats] and [Config.Trace], or with
// Config.ReportAborted in Read after all.
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
//
// # Logs
//
// A log or a replay (a bus with canbus.Properties.Waits, such as candump:FILE) loses
// nothing because it is read slowly: a connection with Config.ReadBuffer of unread messages
// holds it up. One that is not read at all holds up others for 5 s at most, while they
// wait; then it loses messages, with an ErrOverrun, until it is read again. Connections
// that nobody has accepted yet hold up nothing.
//
// Where the frames' time is the log's (OwnTime), Config.ConsecutiveFrameTimeout and what
// else ends a reception go by it, however fast the log is read, and [MessageInfo] and
// [Trace] tell it. Deadlines, and what is sent, go by the clock. A message that is open at
// the log's end is given up with the code CodeBusEnded, and one during which the time goes
// back by more than a second with CodeTimeWentBack.
//
// # Time
//
// STmin and the time-outs are exact: where Go's timers are too coarse, on Linux,
// the package waits on a timerfd. Inside a testing/synctest bubble it goes by the
// bubble's clock, to the nanosecond.
package isotpnet
