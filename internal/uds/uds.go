// Package uds names what diagnostic messages are: the services of ISO 14229-1 (UDS) and of
// ISO 15031-5 (OBD), and the codes of negative responses. It also tells which response answers
// a request.
package uds

import "fmt"

// A Kind says which way a message goes, and what it answers.
type Kind uint8

const (
	// Unknown: it has no bytes, or begins with what is no service.
	Unknown Kind = iota
	// Request begins with the service.
	Request
	// Positive begins with the service plus 40.
	Positive
	// Negative is 7F, the service and a response code.
	Negative
)

const (
	// NegativeResponse is the first byte of a negative response.
	NegativeResponse = 0x7F
	// ResponsePending is the code of a negative response that another response follows.
	ResponsePending = 0x78

	positive = 0x40 // what a positive response adds to the service
)

// A Message is what the first bytes of a message say.
type Message struct {
	Kind Kind
	// Service is that of the request, also in a response. 0 in a negative response that
	// ends before it.
	Service byte
	// Code is a negative response's, see CodeName. 0 if the message ends before it: no
	// negative response has this code.
	Code byte
}

// Parse reads a message, or its first bytes: three are enough.
func Parse(p []byte) Message {
	if len(p) == 0 {
		return Message{}
	}
	switch first := p[0]; {
	case first == NegativeResponse:
		m := Message{Kind: Negative}
		if len(p) > 1 {
			m.Service = p[1]
		}
		if len(p) > 2 {
			m.Code = p[2]
		}
		return m
	case isService(first):
		return Message{Kind: Request, Service: first}
	case isService(first - positive):
		return Message{Kind: Positive, Service: first - positive}
	}
	return Message{}
}

// isService reports whether a request may begin with b. The standards leave the other
// values to other protocols, or unused.
func isService(b byte) bool {
	return 0x01 <= b && b <= 0x3E || 0x83 <= b && b <= 0x88 || 0xBA <= b && b <= 0xBE
}

// IsPending reports whether another response will follow this one.
func (m Message) IsPending() bool { return m.Kind == Negative && m.Code == ResponsePending }

// Name returns the name of the service, and of the code of a negative response:
//
//	ReadDataByIdentifier
//	ReadDataByIdentifier: requestOutOfRange
//
// It returns "" for an Unknown message.
func (m Message) Name() string {
	switch m.Kind {
	case Request, Positive:
		return ServiceName(m.Service)
	case Negative:
		return ServiceName(m.Service) + ": " + CodeName(m.Code)
	}
	return ""
}

// ServiceName returns the name of the service of a request that begins with sid; "service B9"
// where the standards name none.
func ServiceName(sid byte) string {
	if name := services[sid]; name != "" {
		return name
	}
	return fmt.Sprintf("service %02X", sid)
}

// CodeName returns the name of a negative response's code, or of the range that it lies in.
func CodeName(code byte) string {
	if name := codes[code]; name != "" {
		return name
	}
	text := "code %02X, reserved"
	switch {
	case 0x38 <= code && code <= 0x4F:
		text = "code %02X, of data link security"
	case 0x95 <= code && code <= 0xEF:
		text = "code %02X, reserved for conditions that are not correct"
	case 0xF0 <= code && code <= 0xFE:
		text = "code %02X, a condition of the manufacturer's"
	}
	return fmt.Sprintf(text, code)
}
