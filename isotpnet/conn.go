package isotpnet

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	_ net.Conn      = (*Conn)(nil)
	_ io.ReaderFrom = (*Conn)(nil)
	_ io.WriterTo   = (*Conn)(nil)
	_ syscall.Conn  = (*Conn)(nil)
)

// A Conn is a connection on the network "isotp": messages to and from one pair
// of addresses. It is safe for concurrent use; Writes take turns, and so do
// Reads.
//
// A Write is exactly one message (but see Config.SplitWrites). When it returns nil, the
// bus has taken every frame (where the bus echoes: it is on the wire, or the controller
// has it), and the peer has answered every flow control. That is all that ISO-TP tells a
// sender: it has no acknowledgement of a message's end. So a Single Frame that no node
// heard, or a Consecutive Frame lost after the last flow control, is not an error of
// Write.
//
// Errors are *net.OpError, but for io.EOF, and for those of the other side in
// ReadFrom and WriteTo.
type Conn struct {
	network       string
	local, remote Addr
	backend       backend
	maxSend       int64  // of a message
	limit         string // what sets maxSend: see MessageTooLongError.Limit
	split         int    // longer Writes go as messages of that size; 0: they are errors
	readFromSize  int
	ends          ends

	// message counts the messages that were read to their end or opened, so
	// that the reader of NextReader knows whether its message is still there.
	message atomic.Uint64
}

// A backend does the work of a Conn. Its errors are those that users know; Conn wraps them
// in a *net.OpError.
type backend interface {
	name() string
	// send sends p as messages of at most size bytes, one after another. n are the
	// bytes of those that were sent.
	send(p []byte, size int, functional bool) (n int, err error)
	sendFrom(r io.Reader, size int64) error
	// read reads bytes of one message, as Read does. end: the message is read to its
	// end. With stream true it goes on with the message that open has opened.
	read(p []byte, stream bool) (n int, end bool, err error)
	// readMessage is read that describes the message too, which takes time.
	readMessage(p []byte) (n int, info MessageInfo, end bool, err error)
	open() (MessageInfo, error)
	await() (MessageInfo, error)
	discard() (messages int, err error)
	progress() (received, sent Progress)
	setReadDeadline(t time.Time) error
	setWriteDeadline(t time.Time) error
	stats() Stats
	close() error
}

// MessageInfo describes a message.
type MessageInfo struct {
	// Size is how many bytes the message has.
	Size int64
	// Rest is how many of them have arrived and are still to be read. Above 0,
	// the caller's buffer was too short, and the next read goes on with them.
	Rest int
	// Functional: the message was sent to a group, not to us alone.
	Functional bool
	// First and Last are when its first and its last frame came. Last is zero
	// while the message is not complete. The kernel's backend knows First of
	// Single Frames only, and it is zero for others.
	First, Last time.Time
}

// Read reads bytes of at most one message. The bytes that do not fit in p stay for the next
// Read. With an empty p it returns 0, nil at once.
//
// Errors: os.ErrDeadlineExceeded, net.ErrClosed, an *OverrunError (messages were lost, or
// the bus has dropped frames), ErrSendOnly, what the bus failed with, and with
// Config.ReportAborted a *ProtocolError. [Final] tells those after which reading can go on
// from the others.
//
// When the bus has failed, Read first returns the messages that came before (one that had
// come by half is lost, and counted as CodeBusEnded), and then the driver's error:
// syscall.ENODEV if an interface was deleted or its adapter was pulled out, a
// *canbus.GoneError if another driver has lost its adapter or server, and
// io.ErrUnexpectedEOF at the end of a log. It is final: later Reads return it again, and it
// is then net.ErrClosed, too. The next Dial opens the bus anew. syscall.ENETDOWN is not
// final: the connection goes on when the interface is up again. Only the Conns of [Pipe]
// return io.EOF.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, _, err := c.read(p, false)
	return n, err
}

// ReadMessage does what Read does, and describes the message too. If p is too short for
// the whole message, MessageInfo.Rest is above 0.
func (c *Conn) ReadMessage(p []byte) (n int, info MessageInfo, err error) {
	if len(p) == 0 {
		return 0, MessageInfo{}, nil
	}
	n, info, end, err := c.backend.readMessage(p)
	return n, info, c.ended(end, err)
}

func (c *Conn) read(p []byte, stream bool) (n int, end bool, err error) {
	n, end, err = c.backend.read(p, stream)
	return n, end, c.ended(end, err)
}

// ended follows a read, which perhaps was the last one of its message.
func (c *Conn) ended(end bool, err error) error {
	if end {
		c.message.Add(1)
	}
	return c.error(opRead, err)
}

// NextReader waits until the next message is started, and returns a reader that gives its
// bytes as they arrive. In this way messages of up to 4 GiB - 1 are received in constant
// memory, whatever Config.MaxMessageSize is: when some bytes have arrived, the peer is
// held up until they are read.
//
// The reader returns io.EOF at the message's end, and a *ProtocolError if the reception is
// aborted. The next call of NextReader ends the reader, and skips what it has not read. If
// a Read has taken only a part of a message, NextReader goes on with the rest.
//
// A Conn that reads by Read refuses messages longer than MaxMessageSize; one that reads by
// NextReader takes them. Until either is called, the senders of such messages, and of all
// messages longer than 65535 bytes, are kept waiting, and in the end refused.
func (c *Conn) NextReader() (io.Reader, MessageInfo, error) {
	info, err := c.backend.open()
	if err != nil {
		return nil, MessageInfo{}, c.error(opRead, err)
	}
	return &messageReader{c: c, message: c.message.Add(1)}, info, nil
}

// A messageReader reads the message that NextReader has opened.
type messageReader struct {
	c       *Conn
	message uint64
	err     error
}

var errNotOpen = errors.New("this message was read or skipped by another call")

func (r *messageReader) Read(p []byte) (int, error) {
	if r.err == nil && r.c.message.Load() != r.message {
		r.err = r.c.error(opRead, errNotOpen)
	}
	if r.err != nil || len(p) == 0 {
		return 0, r.err
	}
	n, end, err := r.c.read(p, true)
	if end {
		r.err = io.EOF
		if err != nil {
			r.err = err
		}
	}
	return n, err
}

// AwaitMessage waits until the next message is started: its First Frame or Single Frame
// has come. It describes the message without reading any of it; if a message is there
// already it returns at once. MessageInfo.Rest is how many bytes have come. A tester can so
// end its P2 time-out, and set another deadline for the rest (or see
// Config.DeadlineAtFirstFrame). After the deadline AwaitMessage times out even if a message
// is there, as Read does. The kernel's backend tells of a message when it is completed.
// Errors are those of Read.
func (c *Conn) AwaitMessage() (MessageInfo, error) {
	info, err := c.backend.await()
	return info, c.error(opRead, err)
}

// Drain throws away the messages that have come and were not read. Call it before a
// request, so that an answer that came too late for an earlier request is not taken for the
// answer to this one. It returns how many messages these were. It counts a message that was
// read in part, and a message that is still coming: the rest of that is thrown away as it
// comes (the kernel's backend does not know of that one). Drain forgets losses that were
// not reported yet.
//
// A late answer that comes behind Drain is read as any other: compare what is read with
// what was asked. On a bus within the process, too, a peer's Write may return a moment
// before its message has come.
func (c *Conn) Drain() (messages int, err error) {
	messages, err = c.backend.discard()
	if messages > 0 {
		c.message.Add(1) // ends the reader that NextReader has returned
	}
	return messages, c.error(opRead, err)
}

// A Progress says how far a message has come: Done of Size bytes. Both are 0 where
// there is none.
type Progress struct{ Done, Size int64 }

// Progress returns how much has been received and sent of the messages of more than
// one frame that are under way. [Trace] has hooks for it. The kernel's backend does not
// know, and returns 0.
func (c *Conn) Progress() (received, sent Progress) { return c.backend.progress() }

// Write sends p as one message. It returns len(p), nil when the message is sent,
// and 0 and an error otherwise: ErrMessageTooLong (nothing was sent),
// os.ErrDeadlineExceeded (the message was aborted; the kernel's backend cannot
// recall one, so it may still arrive), net.ErrClosed, ErrListenOnly, a
// *ProtocolError, a *canbus.RefusedError (an adapter has taken a frame and not sent it;
// frames before it may have been), or what the bus failed with: the same, and as final, as
// of Read; whether the message arrived is then not known. An empty p sends nothing, and is
// no error even after Close.
//
// With Config.SplitWrites a longer p is several messages, and with an error n counts
// the bytes of those that were sent whole.
func (c *Conn) Write(p []byte) (int, error) {
	if c.split > 0 && len(p) > c.split {
		n, err := c.backend.send(p, c.split, false)
		return n, c.error(opWrite, refused(err, int64(min(c.split, len(p)-n))))
	}
	return c.write(p, false)
}

// WriteFunctional sends p as one Single Frame to the group of ECUs at
// Dialer.Functional, or to the functional address that was dialled; longer ones are
// an ErrMessageTooLong. Each ECU answers on its own physical address: this Conn
// hears the one that it listens to. Where there is no functional address the error
// is ErrNoFunctional.
func (c *Conn) WriteFunctional(p []byte) (int, error) { return c.write(p, true) }

func (c *Conn) write(p []byte, functional bool) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > c.maxSend {
		wayOut := asSeveral
		if functional {
			wayOut = ""
		}
		return 0, c.error(opWrite, c.tooLong(int64(len(p)), wayOut))
	}
	n, err := c.backend.send(p, len(p), functional)
	return n, c.error(opWrite, refused(err, int64(len(p))))
}

// SendFrom sends size bytes of r as one message, in constant memory. It reads up to
// 16 KiB of r before the first frame, and the rest while it sends. (The kernel's backend
// reads all of r first.) A size of 0 sends nothing.
//
// If r fails, or ends too early, the message is aborted, and the error is a *ProtocolError
// with CodeSourceFailed. If a Read of r takes longer than nine tenths of
// Config.ConsecutiveFrameTimeout, the code is CodeSourceStalled: the peer would abort the
// reception anyway. A deadline aborts the message; it does not interrupt a Read of r. Other
// errors are those of Write.
func (c *Conn) SendFrom(r io.Reader, size int64) error {
	switch {
	case size < 0 || size > c.maxSend:
		return c.error(opWrite, c.tooLong(size, ""))
	case size == 0:
		return nil
	}
	return c.error(opWrite, refused(c.backend.sendFrom(r, size), size))
}

// tooLong is the error of a message above maxSend.
func (c *Conn) tooLong(size int64, wayOut string) error {
	limit := c.limit
	if limit != limitSingle {
		limit += wayOut
	}
	return &MessageTooLongError{Size: size, Max: c.maxSend, Limit: limit}
}

// ReadFrom reads from r until r ends. It sends what each Read of r returns as one message
// of at most 4095 bytes, or Config.MaxSendSize if that is set. It does not wait until a
// message is full.
func (c *Conn) ReadFrom(r io.Reader) (n int64, err error) {
	buf := make([]byte, c.readFromSize)
	for {
		k, readErr := r.Read(buf)
		if k > 0 {
			if _, err := c.Write(buf[:k]); err != nil {
				return n, err
			}
			n += int64(k)
		}
		switch {
		case readErr == io.EOF:
			return n, nil
		case readErr != nil:
			return n, readErr
		}
	}
}

// messageBuffers are for WriteTo.
var messageBuffers = sync.Pool{New: func() any { b := make([]byte, defaultPart); return &b }}

// WriteTo writes each message to w with one Write, until a read fails. With
// [Pipe] it ends without an error when the other end is closed.
func (c *Conn) WriteTo(w io.Writer) (n int64, err error) {
	buf := messageBuffers.Get().(*[]byte)
	defer messageBuffers.Put(buf)
	for {
		size, err := c.readWhole(buf)
		switch {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		}
		k, err := w.Write((*buf)[:size])
		n += int64(k)
		switch {
		case err != nil:
			return n, err
		case k < size:
			return n, io.ErrShortWrite
		}
	}
}

// readWhole reads one message into buf, which grows to hold it.
func (c *Conn) readWhole(buf *[]byte) (size int, err error) {
	size, info, err := c.ReadMessage(*buf)
	for err == nil && info.Rest > 0 {
		if more := size + info.Rest; more > len(*buf) {
			*buf = append((*buf)[:size], make([]byte, info.Rest)...)
		}
		var k int
		k, info, err = c.ReadMessage((*buf)[size:])
		size += k
	}
	return size, err
}

// Close ends the connection: calls that wait return net.ErrClosed. Messages that were not
// read are lost, a message that is being sent is aborted, and nothing is put on the bus:
// ISO-TP has no close, so the peer does not learn of it. A second Close does nothing.
//
// A flow control that comes after Close finds no connection and is dropped. If it was owed
// to the message that Close has aborted, the pair of addresses remembers that: the next
// connection on it sends no message of more than one frame before the flow control has come,
// or Config.FlowControlTimeout is over. Until then Write waits, and returns an [*OwedError]
// if its deadline comes first. On the kernel's backend it waits for 1 s.
//
// The last connection on a bus that an address has named closes that bus. If this could
// lose what was written, because an adapter drops its queue, Close waits until all is on
// the wire, and returns and logs (Config.Logger) an error if it cannot know. How long that
// takes depends on the bus: see package slcan, for one.
func (c *Conn) Close() error { return c.error(opClose, c.backend.close()) }

// LocalAddr returns the address that the peer would dial, an [Addr]: the mirror of
// RemoteAddr, which is what was dialled.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address that was dialled, an [Addr].
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets the deadlines of reading and of writing; see [net.Conn] and
// [Conn.Write]. On a closed connection these methods return net.ErrClosed.
func (c *Conn) SetDeadline(t time.Time) error {
	err := c.backend.setReadDeadline(t)
	if err == nil {
		err = c.backend.setWriteDeadline(t)
	}
	return c.error(opSet, err)
}

// SetReadDeadline sets the deadline of reading.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.error(opSet, c.backend.setReadDeadline(t))
}

// SetWriteDeadline sets the deadline of writing.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.error(opSet, c.backend.setWriteDeadline(t))
}

// Stats returns what has been counted so far.
func (c *Conn) Stats() Stats { return c.backend.stats() }

// Backend returns what the connection runs on: "user", the engine of this
// package over a CAN bus, or "kernel", Linux's ISO-TP socket.
func (c *Conn) Backend() string { return c.backend.name() }

// SyscallConn returns access to the socket of a connection on the kernel's backend, for
// options and counters. A program that reads or writes it takes messages and errors away
// from the Conn. Connections on the user's backend have no socket: the error is
// errors.ErrUnsupported.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	s, ok := c.backend.(syscallConner)
	if !ok {
		return nil, c.error(opSet, unsupportedError("the "+c.Backend()+" backend has no socket of its own"))
	}
	raw, err := s.syscallConn()
	return raw, c.error(opSet, err)
}

// A syscallConner is a backend with a socket.
type syscallConner interface {
	syscallConn() (syscall.RawConn, error)
}

func (c *Conn) error(op string, err error) error {
	if err == nil {
		return nil // before the addresses become interfaces, which allocates
	}
	return opError(op, c.network, c.local, c.remote, c.ends.error(op, err))
}
