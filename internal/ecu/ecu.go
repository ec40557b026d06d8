// Package ecu is a simulated ECU, for demonstrations and tests: it answers a tester's
// requests of UDS (ISO 14229) and OBD-II (SAE J1979). It uses package isotpnet.
package ecu

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"

	"example.com/isotp/isotpnet"
)

// An ECU says what a simulated ECU answers. The zero ECU has no VIN and no name. Many
// goroutines may call its methods at a time.
type ECU struct {
	// VIN is the answer to OBD-II's mode 09, PID 02, and to UDS' ReadDataByIdentifier
	// F190. "": the ECU does not have it.
	VIN string
	// Name is the answer to mode 09, PID 0A; only its first 20 bytes are sent. "": the ECU
	// does not have it.
	Name string
	// Responses replace the ECU's own answers: they are looked up first.
	Responses Responses

	download download
}

// UDS' service identifiers and negative response codes.
const (
	sessionControl  = 0x10
	readByID        = 0x22
	testerPresent   = 0x3E
	negative        = 0x7F
	positive        = 0x40 // added to the service by a positive response
	suppress        = 0x80 // added to a sub-function: no positive response is wanted
	notSupported    = 0x11
	subNotSupported = 0x12
	wrongLength     = 0x13
	outOfRange      = 0x31
)

// Answer returns the answers to a request, in their order; none if the ECU does not answer.
// A functional request for something that the ECU does not have gets no negative response,
// because another ECU may have it.
func (e *ECU) Answer(request []byte, functional bool) [][]byte {
	if len(request) == 0 {
		return nil
	}
	if answers, ok := e.Responses.find(request); ok {
		return answers
	}
	answer := e.answer(request)
	if answer == nil {
		return nil
	}
	if functional && answer[0] == negative {
		switch answer[2] {
		case notSupported, subNotSupported, outOfRange:
			return nil
		}
	}
	return [][]byte{answer}
}

func (e *ECU) answer(request []byte) []byte {
	service := request[0]
	switch service {
	case 0x01, 0x09:
		return e.obd(service, request[1:])
	case sessionControl:
		if len(request) != 2 {
			return []byte{negative, service, wrongLength}
		}
		// P2 is 50 ms, P2* 5 s in steps of 10 ms.
		return subFunction(request, []byte{0, 50, 0x01, 0xF4})
	case testerPresent:
		switch {
		case len(request) != 2:
			return []byte{negative, service, wrongLength}
		case request[1]&^suppress != 0:
			return []byte{negative, service, subNotSupported}
		}
		return subFunction(request, nil)
	case readByID:
		switch {
		case len(request) != 3:
			return []byte{negative, service, wrongLength}
		case binary.BigEndian.Uint16(request[1:]) == 0xF190 && e.VIN != "":
			return append([]byte{readByID + positive, 0xF1, 0x90}, e.VIN...)
		}
		return []byte{negative, service, outOfRange}
	case requestDownload, transferData, transferExit:
		return e.download.answer(request)
	}
	if service < sessionControl {
		return nil // the modes of OBD-II have no negative response
	}
	return []byte{negative, service, notSupported}
}

// subFunction returns a positive response, nil if the tester does not want one.
func subFunction(request, data []byte) []byte {
	if request[1]&suppress != 0 {
		return nil
	}
	return append([]byte{request[0] + positive, request[1]}, data...)
}

// obd answers modes 01 (engine speed, vehicle speed) and 09 (VIN, name).
func (e *ECU) obd(mode byte, pids []byte) []byte {
	if len(pids) != 1 {
		return nil
	}
	pid := pids[0]
	head := []byte{mode + positive, pid}
	switch {
	case mode == 0x01 && pid == 0x00:
		return append(head, supported(0x0C, 0x0D)...)
	case mode == 0x01 && pid == 0x0C:
		return append(head, 0x0C, 0x80) // 800 rpm, in quarters
	case mode == 0x01 && pid == 0x0D:
		return append(head, 0)
	case mode == 0x09 && pid == 0x00:
		return append(head, supported(0x02, 0x0A)...)
	case mode == 0x09 && pid == 0x02 && e.VIN != "":
		return append(append(head, 1), e.VIN...)
	case mode == 0x09 && pid == 0x0A && e.Name != "":
		name := make([]byte, 20)
		copy(name, e.Name)
		return append(append(head, 1), name...)
	}
	return nil
}

// supported returns the bits of supported PIDs, of those from 01 to 20: PID 01 is the
// highest bit.
func supported(pids ...byte) []byte {
	var bits uint32
	for _, pid := range pids {
		bits |= 1 << (32 - pid)
	}
	return binary.BigEndian.AppendUint32(nil, bits)
}

// Serve answers each tester that the listener accepts. When the listener is closed, it
// closes the connections and returns nil. If the listener fails, it closes the connections
// and returns the error.
func (e *ECU) Serve(ln *isotpnet.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	done := make(chan struct{})
	defer close(done)
	for {
		c, err := ln.AcceptConn()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		conns.Go(func() {
			<-done
			c.Close()
		})
		conns.Go(func() { e.serve(c) })
	}
}

// serve answers one tester until the connection is closed or the bus fails. An answer that
// cannot be sent is lost, as with a real ECU.
func (e *ECU) serve(c *isotpnet.Conn) {
	buf := make([]byte, 4095)
	for {
		n, info, err := c.ReadMessage(buf)
		switch {
		case isotpnet.Final(err):
			return
		case err != nil:
			continue
		}
		if info.Rest > 0 || int64(n) < info.Size {
			continue // longer than any request that the ECU knows
		}
		for _, answer := range e.Answer(buf[:n], info.Functional) {
			c.Write(answer)
		}
	}
}
