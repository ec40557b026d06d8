package stream

import (
	"encoding/binary"
	"fmt"
)

const (
	version = 1

	// MaxMessage is the length of the longest message. Classic ISO-TP, and so
	// every implementation, can carry it.
	MaxMessage = 4095
	// MinMessage is the least that Config.MaxMessage can be: what all but DATA
	// need.
	MinMessage = 7

	shortHeader = 5
	// LongHeader is how much of a long message is no payload.
	LongHeader = 7
	maxShort   = 14           // the longest message with a short header
	minLong    = maxShort + 3 // the shortest with a long one
	escape     = 15

	fromAcceptor = 0x80

	// windowUnit is what LIMIT and WINDOW count in; MinWindow and MaxWindow are
	// the least and the most that Config.Window can be.
	windowUnit = 256
	MinWindow  = windowUnit
	MaxWindow  = 255 * windowUnit
)

type kind uint8

const (
	kindOpen kind = iota
	kindAccept
	kindData
	kindEnd
	kindWindow
	kindReset
	kindPing
	kindPong
)

// payloadLen is the least that a message of a kind has beyond its header.
var payloadLen = [8]int{
	kindOpen: 2, kindAccept: 2, kindData: 1, kindWindow: 2, kindReset: 1, kindPing: 2, kindPong: 2,
}

var kindNames = [8]string{"OPEN", "ACCEPT", "DATA", "END", "WINDOW", "RESET", "PING", "PONG"}

func (k kind) String() string { return kindNames[k] }

// A Reason says why a session was reset.
type Reason uint8

// The reasons on the wire.
const (
	Refused    Reason = 1 // nobody accepts sessions
	Unknown    Reason = 2 // there is no such session (any more)
	Lost       Reason = 3 // a message was lost
	Closed     Reason = 4 // data came that nobody will read
	Violation  Reason = 5 // the peer has broken the protocol
	BadVersion Reason = 6 // the version of an OPEN is not known
	Aborted    Reason = 7 // given up, for any other reason
)

// The reasons that are never sent.
const (
	TimedOut  Reason = 0xF0 // the peer does not answer
	Restarted Reason = 0xF1 // the peer has begun another session of the same name
)

func (r Reason) String() string {
	switch r {
	case Refused:
		return "nobody listens"
	case Unknown:
		return "the session is not known there"
	case Lost:
		return "a message was lost on the way"
	case Closed:
		return "data for a session that was closed"
	case Violation:
		return "a breach of the protocol"
	case BadVersion:
		return "the version of the protocol is not known there"
	case Aborted:
		return "given up"
	case TimedOut:
		return "no answer"
	case Restarted:
		return "the peer was restarted"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// A key names a session: its number, and in the upper half whether we accepted it.
type key uint32

const acceptedKey key = 1 << 16

// from is FROM in what we send in that session.
func (k key) from() byte {
	if k&acceptedKey != 0 {
		return fromAcceptor
	}
	return 0
}

// A message is one parsed.
type message struct {
	kind    kind
	key     key
	seq     uint16
	payload []byte
}

// parse takes a message apart. It reports false for what is none, or damaged.
func (m *message) parse(p []byte) bool {
	if len(p) < shortHeader || len(p) > MaxMessage {
		return false
	}
	header := shortHeader
	if n := int(p[0] & 0x0F); n == escape {
		header = LongHeader
		if len(p) < minLong || int(binary.BigEndian.Uint16(p[5:])) != len(p) {
			return false
		}
	} else if n != len(p) {
		return false
	}
	m.kind = kind(p[0] >> 4 & 7)
	m.key = key(binary.BigEndian.Uint16(p[1:]))
	if p[0]&fromAcceptor == 0 {
		m.key |= acceptedKey // by us: the peer has opened it
	}
	m.seq = binary.BigEndian.Uint16(p[3:])
	m.payload = p[header:]
	opened := m.key&acceptedKey == 0
	switch {
	case len(m.payload) < payloadLen[m.kind]:
		return false
	case m.kind == kindOpen && opened, m.kind == kindAccept && !opened:
		return false
	}
	return true
}

// put writes the header of a message with n bytes of payload to b and returns its
// length.
func put(b []byte, kind kind, k key, seq uint16, n int) int {
	b[0] = k.from() | byte(kind)<<4
	binary.BigEndian.PutUint16(b[1:], uint16(k))
	binary.BigEndian.PutUint16(b[3:], seq)
	if n+shortHeader <= maxShort {
		b[0] |= byte(n + shortHeader)
		return shortHeader
	}
	b[0] |= escape
	binary.BigEndian.PutUint16(b[5:], uint16(n+LongHeader))
	return LongHeader
}

// room is how much of a stream a message of at most that length carries.
func room(length int) int {
	if length < minLong {
		return min(length, maxShort) - shortHeader
	}
	return length - LongHeader
}
