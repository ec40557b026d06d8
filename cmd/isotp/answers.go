package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"example.com/isotp/internal/uds"
	"example.com/isotp/isotpnet"
)

// A line carries requests to ECUs, and their answers back.
type line interface {
	send(request []byte) error
	// receive returns the next message, and when it was complete.
	receive() (message []byte, at time.Time, from isotpnet.Addr, err error)
	counted() isotpnet.Stats

	Drain() (messages int, err error)
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	Close() error
}

// A pairLine is the line to one ECU.
type pairLine struct {
	*isotpnet.Conn
	addr isotpnet.Addr
}

func (l pairLine) send(request []byte) error {
	_, err := l.Write(request)
	return err
}

func (l pairLine) receive() ([]byte, time.Time, isotpnet.Addr, error) {
	message, info, err := readMessage(l.Conn, nil)
	return message, info.Last, l.addr, err
}

func (l pairLine) counted() isotpnet.Stats { return l.Stats() }

// A groupLine is the line to many ECUs: to is where requests go, a functional address as a
// rule.
type groupLine struct {
	*isotpnet.PacketConn
	to isotpnet.Addr
}

func (l groupLine) send(request []byte) error {
	_, err := l.WriteTo(request, l.to)
	return err
}

func (l groupLine) receive() ([]byte, time.Time, isotpnet.Addr, error) {
	message, info, from, err := l.ReadMessageFrom(nil)
	return message, info.Last, from, err
}

func (l groupLine) counted() isotpnet.Stats { return l.Stats().Stats }

// pendingTime is P2* of ISO 14229-2: the time that an ECU may take after it has said that its
// answer is pending.
const pendingTime = 5 * time.Second

// answerTimes are how long answers may take to begin, after ISO 14229-2.
type answerTimes struct {
	p2     time.Duration // after the request
	p2Star time.Duration // after a response that says that the answer is pending
	delay  time.Duration // what the network adds to both
	limit  time.Duration // after the request, however often the answer is pending; 0: none
}

// A response is a message that has come after a request.
type response struct {
	message []byte
	from    isotpnet.Addr
	at      time.Time
}

// pending reports whether the ECU says that its answer to the request is still to come.
func (r *response) pending(request []byte) bool {
	return uds.Parse(r.message).IsPending() && uds.Answers(request, r.message)
}

// line is the response for people: the ECU, the time since start, the bytes and their text.
func (r *response) line(start time.Time) string {
	took := r.at.Sub(start).Round(100 * time.Microsecond)
	return fmt.Sprintf("%-11s %8v  % X%s", r.ecu(), took, r.message, text(r.message))
}

// ecu is the address of the ECU, without the bus.
func (r *response) ecu() string { return ecuName(r.from) }

// ecuName is an address without its bus.
func ecuName(addr isotpnet.Addr) string { return addr.WithBus("").String()[1:] }

// text is the longest run of printable characters, if it is one worth showing.
func text(b []byte) string {
	longest, begin := "", 0
	for i := 0; i <= len(b); i++ {
		if i < len(b) && ' ' <= b[i] && b[i] <= '~' {
			continue
		}
		if i-begin > len(longest) {
			longest = string(b[begin:i])
		}
		begin = i + 1
	}
	if len(longest) < 4 {
		return ""
	}
	return fmt.Sprintf("  %q", longest)
}

// gather calls take for each message that comes after a request was sent, until take returns
// false. It ends with os.ErrDeadlineExceeded when P2 is over, and P2* of each ECU whose
// answer is pending. lost says which messages were lost meanwhile, or given up.
func (t answerTimes) gather(l line, request []byte, take func(response) (more bool)) (lost, err error) {
	var deadline time.Time
	sent := time.Now()
	p2 := sent.Add(t.p2 + t.delay)
	pending := make(map[isotpnet.Addr]time.Time) // until when each ECU has time
	for {
		// A deadline that is past when it is set would cut off messages that began in time.
		if d := t.deadline(sent, p2, pending); d != deadline {
			if err := l.SetReadDeadline(d); err != nil {
				return lost, err
			}
			deadline = d
		}
		message, at, from, err := l.receive()
		switch {
		case isLoss(l, err):
			lost = errors.Join(lost, err)
			continue
		case err != nil:
			return lost, err
		}
		r := response{message, from, at}
		if !take(r) {
			return lost, nil
		}
		switch _, was := pending[from]; {
		case r.pending(request):
			pending[from] = time.Now().Add(t.p2Star + t.delay)
		case was && uds.Answers(request, message):
			delete(pending, from)
			p2 = later(p2, time.Now().Add(t.delay)) // others may have begun to answer
		}
	}
}

// deadline is until when a message is waited for.
func (t answerTimes) deadline(sent, p2 time.Time, pending map[isotpnet.Addr]time.Time) time.Time {
	d := p2
	for _, end := range pending {
		d = later(d, end)
	}
	if end := sent.Add(t.limit); t.limit > 0 && end.Before(d) {
		d = end
	}
	return d
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// isLoss reports whether an error says that a message was lost, while others may come.
func isLoss(l line, err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	_, given := errors.AsType[*isotpnet.ProtocolError](err)
	_, many := l.(groupLine)
	return errors.Is(err, isotpnet.ErrOverrun) || given && many
}
