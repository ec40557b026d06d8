package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"example.com/isotp/internal/scan"
	"example.com/isotp/internal/uds"
	"example.com/isotp/internal/wire"
)

// errNoECU is a time-out: every probe had one.
var errNoECU = fmt.Errorf("no ECU has answered: %w", os.ErrDeadlineExceeded)

// A scanPrinter prints what a scan finds.
type scanPrinter struct {
	w         io.Writer
	json      bool
	endpoints int
	err       error // the first of w
}

func newScanPrinter(w io.Writer, json bool) *scanPrinter { return &scanPrinter{w: w, json: json} }

// An endpointJSON is an endpoint as --json prints it.
type endpointJSON struct {
	Address    string      `json:"address"` // as the other commands take it
	Request    string      `json:"request"`
	Answer     string      `json:"answer"`
	Modes      []scan.Mode `json:"modes"` // one of these
	Functional bool        `json:"functional"`
	FD         bool        `json:"fd"`       // it answers in CAN FD frames
	DelayMS    float64     `json:"delay_ms"` // from the probe to the answer
	Padding    *string     `json:"padding"`  // what its frames are filled up with: a byte, "mixed", or null
	// Short is whether it hears frames of less than 8 bytes, null if that is not known.
	Short *bool `json:"short_frames"`
	// Code is that of a negative response to 3E 00.
	Code *string `json:"negative_response,omitempty"`
	// Flow is the flow control that it offers, null if that is not known.
	Flow    *flowJSON `json:"flow_control"`
	Longest uint32    `json:"longest,omitempty"`
}

type flowJSON struct {
	Status    string  `json:"status"` // CTS, WAIT, OVFLW
	BlockSize uint8   `json:"block_size"`
	STminMS   float64 `json:"stmin_ms"`
}

// endpoint prints an endpoint.
func (p *scanPrinter) endpoint(e *scan.Endpoint) {
	p.endpoints++
	if p.json {
		p.print(endpointAsJSON(e))
		return
	}
	p.keep(fmt.Fprintf(p.w, "%-24s %s\n", e.Address(), strings.Join(endpointDetails(e), ", ")))
}

func (p *scanPrinter) print(v any) { p.keep(0, json.NewEncoder(p.w).Encode(v)) }

func (p *scanPrinter) keep(_ int, err error) {
	if p.err == nil {
		p.err = err
	}
}

// endpointDetails are what is printed behind an address.
func endpointDetails(e *scan.Endpoint) []string {
	var modes []string
	for _, mode := range e.Modes() {
		modes = append(modes, string(mode))
	}
	list := []string{strings.Join(modes, " or ")}
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if e.Functional() {
		add("functional")
	}
	if e.Answer.Code != 0 {
		add("refuses 3E 00 (%s)", uds.CodeName(e.Answer.Code))
	}
	if e.Flow != nil {
		add("%s, BS %d, STmin %v", statusName(e.Flow.Status), e.Flow.BlockSize, wire.DecodeSTmin(e.Flow.STmin))
	}
	if e.Answer.FD {
		add("CAN FD")
	}
	if padding := paddingName(e.Answer.Padding); padding == nil {
		add("no padding")
	} else {
		add("padding %s", *padding)
	}
	switch e.Unpadded {
	case scan.Yes:
		add("hears short frames")
	case scan.No:
		add("wants padding")
	}
	if e.Longest > 0 {
		add("takes %d bytes", e.Longest)
	}
	add("after %v", e.Answer.Delay.Round(10*time.Microsecond))
	return list
}

func endpointAsJSON(e *scan.Endpoint) *endpointJSON {
	v := &endpointJSON{
		Address: e.Address(), Request: e.To.String(), Answer: e.Answer.From.String(),
		Modes: e.Modes(), Functional: e.Functional(), FD: e.Answer.FD,
		DelayMS: milliseconds(e.Answer.Delay), Padding: paddingName(e.Answer.Padding), Longest: e.Longest,
	}
	if e.Unpadded != scan.Unknown {
		v.Short = new(e.Unpadded == scan.Yes)
	}
	if e.Answer.Code != 0 {
		v.Code = new(fmt.Sprintf("%02X", e.Answer.Code))
	}
	if f := e.Flow; f != nil {
		v.Flow = &flowJSON{statusName(f.Status), f.BlockSize, milliseconds(wire.DecodeSTmin(f.STmin))}
	}
	return v
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

func statusName(s wire.FlowStatus) string {
	switch s {
	case wire.ContinueToSend:
		return "CTS"
	case wire.Wait:
		return "WAIT"
	}
	return "OVFLW"
}

// paddingName returns nil where there is no padding.
func paddingName(p scan.Padding) *string {
	switch p {
	case scan.NoPadding:
		return nil
	case scan.MixedPadding:
		return new("mixed")
	}
	return new(fmt.Sprintf("%02X", int(p)))
}

// A summaryJSON is the last line of --json.
type summaryJSON struct {
	Endpoints int      `json:"endpoints"`
	Probed    int64    `json:"probed"`
	Sent      int64    `json:"sent"`
	Busy      []string `json:"busy"`           // identifiers of others: neither probed nor answers
	Skipped   []string `json:"skipped"`        // those of them that were to be probed
	Doubtful  []string `json:"doubtful"`       // addresses that have answered once and not again
	Next      string   `json:"next,omitempty"` // where --from goes on
	Dropped   uint64   `json:"dropped"`        // received frames that were lost
	Refused   uint64   `json:"refused"`        // probes that it did not send
}

// summary prints what the scan has done, on standard error unless it is JSON.
func (p *scanPrinter) summary(stderr io.Writer, r *scan.Report, next string) {
	busy, skipped, doubtful := texts(r.Busy, scan.ID.String), texts(r.Skipped, scan.ID.String), texts(r.Doubtful, wire.Address.String)
	if p.json {
		p.print(&summaryJSON{p.endpoints, r.Probed, r.Sent, busy, skipped, doubtful, next, r.Dropped, r.Refused})
		return
	}
	fmt.Fprintf(stderr, "%s found, %d addresses probed with %s\n", count(uint64(p.endpoints), "endpoint"), r.Probed, count(uint64(r.Sent), "frame"))
	for _, list := range []struct {
		what  string
		texts []string
	}{
		{"identifiers of others, which are no answers", busy},
		{"not probed because others send on them", skipped},
		{"answered, and not again", doubtful},
	} {
		if len(list.texts) > 0 {
			fmt.Fprintf(stderr, "%s: %s\n", list.what, strings.Join(list.texts, " "))
		}
	}
}

// texts is not nil: JSON has [] for an empty list.
func texts[T any](list []T, text func(T) string) []string {
	all := make([]string, len(list))
	for i, v := range list {
		all[i] = text(v)
	}
	return all
}
