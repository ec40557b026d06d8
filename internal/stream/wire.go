package stream

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	version = 2

	// MaxMessage is the length of the longest message. Every implementation of ISO-TP can
	// carry it.
	MaxMessage = 4095
	// MaxData is how many bytes of a stream the longest message carries.
	MaxData = MaxMessage - longHeader - checkLen

	shortHeader = 5
	longHeader  = 7
	maxShort    = 14           // the longest message with a short header
	minLong     = maxShort + 3 // the shortest with a long one
	escape      = 15
	control     = shortHeader + 2 // the longest message but DATA, without CHECK
	checkLen    = 4

	fromAcceptor = 0x80

	// windowUnit is how many bytes LIMIT and WINDOW count as one. Config.Window can be
	// from MinWindow to MaxWindow.
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

// payloadLen is how many bytes of payload a message of each kind has at least.
var payloadLen = [8]int{
	kindOpen: 2, kindAccept: 2, kindData: 1, kindWindow: 2, kindReset: 1, kindPing: 2, kindPong: 2,
}

var kindNames = [8]string{"OPEN", "ACCEPT", "DATA", "END", "WINDOW", "RESET", "PING", "PONG"}

func (k kind) String() string { return kindNames[k] }

// A Reason says why a session was reset.
type Reason uint8

// The reasons on the wire.
const (
	Refused    Reason = 1 // no listener accepts sessions
	Unknown    Reason = 2 // there is no such session (any more)
	Lost       Reason = 3 // a message was lost
	Closed     Reason = 4 // data came for a session that was closed
	Violation  Reason = 5 // the peer has broken the protocol
	BadVersion Reason = 6 // the version of an OPEN is not known
	Aborted    Reason = 7 // the session was given up, for any other reason
)

// The reasons that are never sent.
const (
	TimedOut  Reason = 0xF0 // the peer does not answer
	Restarted Reason = 0xF1 // the peer was restarted, and has opened a session of the same name
)

func (r Reason) String() string {
	switch r {
	case Refused:
		return "it has no listener"
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

// A key is the name of a session: its number, and in the upper half whether we have
// accepted it.
type key uint32

const acceptedKey key = 1 << 16

// from is FROM in the messages that we send in that session.
func (k key) from() byte {
	if k&acceptedKey != 0 {
		return fromAcceptor
	}
	return 0
}

// A single is the length of the longest message without a CHECK: one that fits in a Single
// Frame of classic CAN.
type single int

// checks reports whether a message of a kind ends in a CHECK, whose length without that is
// given.
func (l single) checks(k kind, length int) bool {
	return length > int(l) && k != kindOpen && k != kindReset
}

// MinMessage is the least that Config.MaxMessage can be with a Config.Single: all messages
// but DATA need as much.
func MinMessage(single int) int {
	if single < control {
		return control + checkLen
	}
	return control
}

// A message is a message in its parts.
type message struct {
	kind    kind
	key     key
	seq     uint16
	payload []byte
}

// parse sets m to the message in p, which the peer has sent. l is the peer's. It reports
// false if p is no message, or was damaged, or is made of two.
func (m *message) parse(p []byte, l single) bool {
	if len(p) < shortHeader || len(p) > MaxMessage {
		return false
	}
	header := shortHeader
	if n := int(p[0] & 0x0F); n == escape {
		header = longHeader
		if len(p) < minLong || int(binary.BigEndian.Uint16(p[5:])) != len(p) {
			return false
		}
	} else if n != len(p) {
		return false
	}
	m.kind = kind(p[0] >> 4 & 7)
	if l.checks(m.kind, len(p)) {
		end := len(p) - checkLen
		if !l.checks(m.kind, end) || crc32.ChecksumIEEE(p[:end]) != binary.BigEndian.Uint32(p[end:]) {
			return false
		}
		p = p[:end]
	}
	m.key = key(binary.BigEndian.Uint16(p[1:]))
	if p[0]&fromAcceptor == 0 {
		m.key |= acceptedKey // the peer has opened it, so we have accepted it
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

// put writes a message to b, which has room for it, and returns its length.
func (l single) put(b []byte, kind kind, k key, seq uint16, payload []byte) int {
	header := shortHeader
	length := shortHeader + len(payload)
	check := l.checks(kind, length)
	if check {
		length += checkLen
	}
	if length > maxShort {
		header, length = longHeader, length+longHeader-shortHeader
		binary.BigEndian.PutUint16(b[5:], uint16(length))
	}
	b[0] = k.from() | byte(kind)<<4 | byte(min(length, escape))
	binary.BigEndian.PutUint16(b[1:], uint16(k))
	binary.BigEndian.PutUint16(b[3:], seq)
	end := header + copy(b[header:], payload)
	if check {
		binary.BigEndian.PutUint32(b[end:], crc32.ChecksumIEEE(b[:end]))
	}
	return length
}

// room is how many bytes of a stream a message carries that has at most that length.
func (l single) room(length int) int {
	short := min(length, int(l)) - shortHeader
	switch {
	case length >= minLong:
		return length - longHeader - checkLen
	case length > int(l)+checkLen:
		return min(length, maxShort) - shortHeader - checkLen
	}
	return short
}
