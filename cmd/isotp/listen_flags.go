package main

import (
	"fmt"
	"os"
	"time"

	"example.com/isotp/isotpnet"
	"example.com/isotp/sniff"
)

// pairFlags say to which pairs of addresses a command listens.
type pairFlags struct {
	ID []string `name:"id" placeholder:"PAIR" sep:"none" help:"A pair of addresses, as 7E0:7E8, 641#55:642#F1, fixed:10:F1, or one side, as 7DF: or :7E8; obd: those of OBD-II with 11 bits. May be repeated. More: isotp help addresses."`
}

// pairs returns the pairs of --id.
func (f *pairFlags) pairs() ([]sniff.Pair, error) {
	var pairs []sniff.Pair
	for _, text := range f.ID {
		addr, err := parseEndpoint("--id", text)
		if err != nil {
			return nil, err
		}
		switch addr.Kind() {
		case isotpnet.KindPair, isotpnet.KindFunctional, isotpnet.KindListenOnly:
			pairs = append(pairs, pairOf(addr))
		case isotpnet.KindOBD:
			if text != "obd" {
				return nil, usageErrorf("--id %s: it hears many ECUs; without --id the pairs of normal fixed addressing are found", text)
			}
			pairs = append(pairs, sniff.Pair{A: sniff.Address{ID: 0x7DF}, Alone: true})
			for id := uint32(0x7E0); id < 0x7E8; id++ {
				pairs = append(pairs, sniff.Pair{A: sniff.Address{ID: id}, B: sniff.Address{ID: id + 8}})
			}
		default:
			return nil, usageErrorf("--id %s: it leaves the peer open: want a pair, as fixed:10:F1, or a side, as func:33:F1", text)
		}
	}
	return pairs, nil
}

// pairOf returns the pair of an address.
func pairOf(addr isotpnet.Addr) sniff.Pair {
	_, open := addr.Fixed() // any priority
	side := func(s isotpnet.Side) sniff.Address {
		return sniff.Address{ID: s.ID, Extended: s.Extended, HasByte: s.HasByte, Byte: s.Byte, AnyPriority: open}
	}
	send, sends := addr.Send()
	listen, listens := addr.Listen()
	switch {
	case sends && listens:
		return sniff.Pair{A: side(send), B: side(listen)}
	case sends:
		return sniff.Pair{A: side(send), Alone: true}
	}
	return sniff.Pair{A: side(listen), Alone: true}
}

// showFlags say how a command shows what it hears.
type showFlags struct {
	Time  string `short:"t" default:"absolute" enum:"absolute,delta,zero,date,none,a,d,z,A" placeholder:"HOW" help:"Times: absolute (seconds since 1970, as logs have them), delta (since the line before), zero (since the first line), date, or none; or a, d, z, A as in can-utils (${default})."`
	Color string `default:"auto" enum:"auto,always,never" placeholder:"WHEN" help:"Colours for the two sides of a pair, and for functional requests: auto, on a terminal unless NO_COLOR is set; always; never (${default})."`
	UDS   bool   `short:"u" name:"uds" help:"Show the names of diagnostic services (UDS and OBD), and of negative responses."`
}

// colors reports whether output is to be in colour.
func (f *showFlags) colors(stdout any) bool {
	return f.Color == "always" || f.Color == "auto" && isTerminal(stdout) && os.Getenv("NO_COLOR") == ""
}

// The colours of what a pair's sides send, and the end of one. They are those of isotpdump.
const (
	colorA          = "\x1b[31m"
	colorB          = "\x1b[34m"
	colorFunctional = "\x1b[32m"
	colorEnd        = "\x1b[0m"
)

// colorOf returns the colour of what a side of a pair has sent.
func colorOf(p sniff.Pair, fromB bool) string {
	switch {
	case fromB:
		return colorB
	case p.IsFunctional():
		return colorFunctional
	}
	return colorA
}

// A clock writes times as --time says.
type clock struct {
	how    string
	begun  bool
	origin time.Time // of what is shown
}

// append appends the time of a line, and a space; nothing if none is wanted. That of a line
// whose time is not known is ?.
func (c *clock) append(b []byte, t time.Time) []byte {
	if c.how == "none" {
		return b
	}
	if t.IsZero() {
		return append(b, "(?) "...)
	}
	if !c.begun {
		c.begun, c.origin = true, t
	}
	switch c.how {
	case "date", "A":
		return t.AppendFormat(b, "(2006-01-02 15:04:05.000000) ")
	case "absolute", "a":
		us := t.UnixMicro()
		return fmt.Appendf(b, "(%d.%06d) ", us/1e6, us%1e6)
	}
	us := max(t.Sub(c.origin).Microseconds(), 0)
	if c.how == "delta" || c.how == "d" {
		c.origin = t
	}
	return fmt.Appendf(b, "(%d.%06d) ", us/1e6, us%1e6)
}

// appendText appends bytes as text between quotes, with dots for what cannot be printed.
func appendText(b, p []byte) []byte {
	b = append(b, '\'')
	for _, c := range p {
		if c < ' ' || c > '~' {
			c = '.'
		}
		b = append(b, c)
	}
	return append(b, '\'')
}
