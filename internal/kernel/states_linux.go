package kernel

// A Conn's states, and what takes it from one to another. All are guarded by Conn.mu.
//
// What becomes of the message that Send, SendFrom or Start has:
//
//	sendIdle   a message is there: sendReady
//	sendReady  the kernel takes it: sendTaken, or if it is a Single Frame on a vcan sendIdle,
//	           sent; the peer owes a flow control and the message has more than one frame:
//	           sendOwed; the interface's queue is full (ENOBUFS): sendFull; the kernel still
//	           has a message given up (EAGAIN): sendReady; other errors, deadline, Close:
//	           sendIdle, not started
//	sendOwed   after 20 ms, or when nothing is owed any more: as in sendReady;
//	           deadline: sendIdle, OwedError
//	sendFull   after 1 ms: as in sendReady; when that has lasted for 1 s: sendIdle, TimeoutA
//	sendTaken  poll says that it is sent: sendIdle, sent; dispatch has its error: sendIdle,
//	           aborted; deadline, Close: sendIdle, aborted for us, but the kernel goes on
type sendState uint8

const (
	sendIdle sendState = iota
	sendReady
	sendOwed
	sendFull
	sendTaken
)

// What takes messages out of the socket between Reads, see queue:
//
//	drainOff       begin: drainArmed
//	drainArmed     tick, while a Read waits or the queue is full: drainIdle;
//	               tick, after a Read has ended: drainArmed, and the socket is emptied if a
//	               Read has found more in it; tick, after none has: drainStanding
//	drainIdle      a Read or Drain ends: drainArmed
//	drainStanding  the drainer waits at the socket. A Read begins, the queue is full, or the
//	               interface is gone: drainIdle
//
// Close ends all of them.
type drainState uint8

const (
	drainOff drainState = iota
	drainIdle
	drainArmed
	drainStanding
)

// What the socket has said of its interface:
//
//	linkUp    ENETDOWN: linkDown; ENODEV and its like: linkGone. Both end the Write that
//	          is under way and the next Read
//	linkDown  a message was sent or received: linkUp; ENODEV and its like: linkGone
//	linkGone  the socket is of no more use
type linkState uint8

const (
	linkUp linkState = iota
	linkDown
	linkGone
)
