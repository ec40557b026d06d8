package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"example.com/isotp/internal/uds"
)

// What a message is to a request.
const (
	resultPositive = "positive"
	resultNegative = "negative"
	resultPending  = "pending" // another one will follow
	resultOther    = "other"   // it is no answer to this request
	resultNone     = "none"    // there was no message
	resultFailed   = "failed"
)

// A resultLine is a line of --json.
type resultLine struct {
	Time    time.Time `json:"time"`
	Request string    `json:"request"`
	Result  string    `json:"result"`
	ECU     string    `json:"ecu,omitempty"`
	Answer  string    `json:"answer,omitempty"`
	Name    string    `json:"name,omitempty"` // of the service, and of the negative response
	Seconds float64   `json:"seconds"`        // since the request began
	Error   string    `json:"error,omitempty"`
}

// print prints a message. What is no answer is a note.
func (e *exchange) print(r response, result string) error {
	name := uds.Parse(r.message).Name()
	isNote := result == resultPending || result == resultOther
	switch {
	case e.cmd.JSON:
		return e.printJSON(resultLine{Time: r.at, Result: result, ECU: r.ecu(), Answer: fmt.Sprintf("%X", r.message), Name: name})
	case isNote:
		fmt.Fprintf(e.s.stderr, "%s: %s  %s\n", result, r.line(e.start), name)
		return nil
	case e.cmd.Raw:
		_, err := fmt.Fprintf(e.s.stdout, "%X\n", r.message)
		return err
	}
	_, err := fmt.Fprintf(e.s.stdout, "%s  %s\n", r.line(e.start), name)
	return err
}

// printEnd prints how an exchange has ended, if its answers have not told that.
func (e *exchange) printEnd(err error) error {
	_, silent := errors.AsType[*noAnswerError](err)
	l := resultLine{Time: time.Now(), Result: resultNone}
	switch {
	case err == nil && e.answered(), isNegative(err):
		return nil
	case err == nil && !e.cmd.JSON:
		fmt.Fprintf(e.s.stderr, "request %s: no answer, as it asks for none\n", clipHex(e.request))
	case err != nil:
		l.Error = oneLine(err)
		if !silent {
			l.Result = resultFailed
		}
	}
	if !e.cmd.JSON {
		return nil
	}
	return e.printJSON(l)
}

func (e *exchange) printJSON(l resultLine) error {
	l.Request = fmt.Sprintf("%X", e.request)
	l.Seconds = l.Time.Sub(e.start).Seconds()
	return json.NewEncoder(e.s.stdout).Encode(l)
}

// clipHex is the beginning of a message.
func clipHex(p []byte) string {
	const enough = 8
	if len(p) > enough {
		return fmt.Sprintf("% X ... (%d bytes)", p[:enough], len(p))
	}
	return fmt.Sprintf("% X", p)
}
