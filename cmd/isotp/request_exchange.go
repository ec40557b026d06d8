package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"example.com/isotp/internal/uds"
	"example.com/isotp/isotpnet"
)

// An exchange is one request with its answers.
type exchange struct {
	*requester
	request []byte
	start   time.Time

	positive  int                   // how many answers were
	negative  error                 // the first negative answer
	pending   map[isotpnet.Addr]int // how often ECUs that have not answered yet have said that they will
	unwritten error                 // standard output has failed
}

// A negativeError is a negative answer.
type negativeError struct{ code byte }

func (e *negativeError) Error() string {
	return fmt.Sprintf("negative response %02X, %s", e.code, uds.CodeName(e.code))
}

func isNegative(err error) bool {
	_, is := errors.AsType[*negativeError](err)
	return is
}

// A noAnswerError says that no answer has come in time.
type noAnswerError struct{ text string }

func (e *noAnswerError) Error() string { return e.text }
func (e *noAnswerError) Unwrap() error { return os.ErrDeadlineExceeded }

// do sends the request and takes what comes. The error is nil if it was answered as it
// should be.
func (e *exchange) do() error {
	late, err := e.Drain()
	if err != nil {
		return err
	}
	if late > 0 {
		e.s.warn(fmt.Errorf("thrown away, as late for an earlier request: %s", count(uint64(late), "message")))
	}
	if err := e.sendRequest(); err != nil {
		return err
	}
	lost, err := e.times.gather(e, e.request, e.take)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = e.timedOut()
	case err == nil && lost != nil: // it was not the answer
		e.s.warn(lost)
		lost = nil
	}
	if err = errors.Join(lost, err); err == nil && e.positive == 0 {
		err = e.negative
	}
	return err
}

// sendRequest sends the request. It leaves no deadline behind for what is sent beside it.
func (e *exchange) sendRequest() error {
	if err := e.SetWriteDeadline(deadlineIn(e.cmd.Timeout)); err != nil {
		return err
	}
	err := e.send(e.request)
	return errors.Join(err, e.SetWriteDeadline(time.Time{}))
}

// take prints a message, and reports whether another one is waited for.
func (e *exchange) take(r response) (more bool) {
	m := uds.Parse(r.message)
	result := resultPositive
	switch {
	case e.cmd.Any:
		e.positive++
	case !uds.Answers(e.request, r.message):
		result = resultOther
	case m.IsPending():
		result = resultPending
		e.pending[r.from]++
	case m.Kind == uds.Negative:
		result = resultNegative
		if e.negative == nil {
			e.negative = &negativeError{m.Code}
		}
	default:
		e.positive++
		e.adoptTimes(r.message)
	}
	if e.unwritten = e.print(r, result); e.unwritten != nil {
		return false
	}
	if result == resultOther || result == resultPending {
		return true
	}
	delete(e.pending, r.from)
	return e.isGroup()
}

func (e *exchange) answered() bool { return e.positive > 0 || e.negative != nil }

// isGroup reports whether there may be several answers.
func (e *exchange) isGroup() bool {
	_, is := e.line.(groupLine)
	return is
}

// timedOut is what is wrong when no more answers are waited for, nil if nothing is.
func (e *exchange) timedOut() error {
	switch {
	case len(e.pending) > 0:
		var list []string
		for _, ecu := range slices.SortedFunc(maps.Keys(e.pending), func(a, b isotpnet.Addr) int { return strings.Compare(a.String(), b.String()) }) {
			list = append(list, fmt.Sprintf("%s, which has said %s that its answer is pending", ecuName(ecu), count(uint64(e.pending[ecu]), "time")))
		}
		return &noAnswerError{"no answer in time from " + strings.Join(list, ", and from ")}
	case e.answered(), uds.Suppresses(e.request):
		return nil
	}
	return &noAnswerError{fmt.Sprintf("no answer within %v", e.times.p2+e.times.delay)}
}

// adoptTimes takes P2 and P2* from the positive answer of one ECU to DiagnosticSessionControl,
// unless flags say what they are.
func (e *exchange) adoptTimes(answer []byte) {
	const sessionControl, withTimes = 0x10, 6
	if e.isGroup() || e.request[0] != sessionControl || len(answer) != withTimes {
		return
	}
	if e.cmd.P2 == 0 {
		e.times.p2 = time.Duration(binary.BigEndian.Uint16(answer[2:])) * time.Millisecond
	}
	if e.cmd.P2Star == 0 {
		e.times.p2Star = time.Duration(binary.BigEndian.Uint16(answer[4:])) * 10 * time.Millisecond
	}
}
