package scan

import (
	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// A Probe is what is sent to find out whether an ECU listens on an address.
type Probe int

const (
	// FirstFrame is the First Frame of the shortest message that needs one. It is never
	// continued: the ECU answers with a flow control, has room for a message until its
	// N_Cr is over (1 s), and forgets it. No message reaches its application.
	FirstFrame Probe = iota
	// TesterPresent is the UDS request 3E 00, in a Single Frame. The ECU's application
	// answers it; it keeps a diagnostic session alive and changes nothing else.
	TesterPresent
)

const (
	testerPresentResponse = 0x7E
	negativeResponse      = 0x7F
)

var testerPresentRequest = []byte{0x3E, 0}

// probeFrame returns what a probe sends to an address.
func (c *Config) probeFrame(p Probe, to wire.Address) canbus.Frame {
	if p == FirstFrame {
		return c.firstFrame(to, shortestSegmented(to))
	}
	return c.testerPresent(to, c.MinFrameSize)
}

// shortestSegmented is the length of the shortest message with a First Frame: an ECU that has
// room for any message has room for that. What it looks like in another addressing mode is
// harmless, too: an ECU in normal addressing that hears 02 10 07, to the target 02 in extended
// addressing, takes it for a session that ISO 14229 reserves.
func shortestSegmented(to wire.Address) uint32 {
	return uint32(wire.MaxSingle(canbus.MaxClassicLen, to.Overhead()) + 1)
}

// format is how frames to an address are written. Frames of 8 bytes are right with CAN FD
// too: an ECU takes TX_DL from the First Frame.
func (c *Config) format(to wire.Address) wire.Format {
	return wire.Format{Address: to, FrameSize: canbus.MaxClassicLen, Fill: c.Fill, FD: c.FD, BRS: c.BRS}
}

func (c *Config) firstFrame(to wire.Address, length uint32) (f canbus.Frame) {
	format := c.format(to)
	data := format.FirstFrame(&f, length)
	for i := range data {
		data[i] = c.Fill
	}
	return f
}

func (c *Config) testerPresent(to wire.Address, minFrameSize int) (f canbus.Frame) {
	format := c.format(to)
	format.MinFrameSize = minFrameSize
	copy(format.SingleFrame(&f, len(testerPresentRequest)), testerPresentRequest)
	return f
}

// parse reads a received frame as an answer to a probe whose frames have so many bytes of
// address information.
func (p Probe) parse(f *canbus.Frame, overhead int) (a Answer, ok bool) {
	var pdu wire.PDU
	if pdu.Parse(f, overhead) != wire.OK {
		return a, false
	}
	a.From = wire.Address{ID: f.ID, Extended: f.Has(canbus.Extended)}
	if overhead > 0 {
		a.From.HasByte, a.From.Byte = true, f.Data[0]
	}
	a.FD = f.Has(canbus.FD)
	used := overhead + 3
	switch {
	case p == FirstFrame && pdu.Kind == wire.FlowControl && pdu.Status <= wire.Overflow:
		a.Status, a.BlockSize, a.STmin = pdu.Status, pdu.BlockSize, pdu.STmin
	case p == TesterPresent && pdu.Kind == wire.SingleFrame && isResponse(pdu.Data, &a.Code):
		used = overhead + 1 + int(pdu.Length)
		if f.Len > canbus.MaxClassicLen {
			used++ // SF_DL is behind an escape
		}
	default:
		return a, false
	}
	a.Padding = paddingOf(f.Payload(), used)
	return a, true
}

// isResponse reports whether a message is a response to 3E 00.
func isResponse(message []byte, code *byte) bool {
	switch {
	case len(message) == 2 && message[0] == testerPresentResponse && message[1] == 0:
		return true
	case len(message) == 3 && message[0] == negativeResponse && message[1] == testerPresentRequest[0] && message[2] != 0:
		*code = message[2]
		return true
	}
	return false
}
