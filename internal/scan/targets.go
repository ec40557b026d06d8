package scan

import (
	"fmt"
	"strconv"
	"strings"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// A Range is a row of addresses to probe: identifiers at equal distances, each with every
// one of some address bytes, if it has any.
type Range struct {
	first wire.Address // the first identifier, with the first byte
	step  uint32       // from one identifier to the next
	ids   int64        // how many identifiers
	bytes int64        // how many address bytes for each; 1 also where there is none
}

// Targets are the addresses that a scan probes, in this order.
type Targets []Range

// Len returns how many addresses there are.
func (r Range) Len() int64 { return r.ids * r.bytes }

// At returns the address of an index from 0 to Len - 1.
func (r Range) At(i int64) wire.Address {
	a := r.first
	a.ID += r.step * uint32(i/r.bytes)
	a.Byte += byte(i % r.bytes)
	return a
}

// index returns where an address is.
func (r Range) index(a wire.Address) (i int64, ok bool) {
	if a.Extended != r.first.Extended || a.HasByte != r.first.HasByte || a.ID < r.first.ID {
		return 0, false
	}
	id, rest := (a.ID-r.first.ID)/r.step, (a.ID-r.first.ID)%r.step
	b := int64(a.Byte) - int64(r.first.Byte)
	return int64(id)*r.bytes + b, rest == 0 && int64(id) < r.ids && 0 <= b && b < r.bytes
}

// Len returns how many addresses there are.
func (t Targets) Len() (n int64) {
	for _, r := range t {
		n += r.Len()
	}
	return n
}

// At returns the address of an index from 0 to Len - 1.
func (t Targets) At(i int64) wire.Address {
	for _, r := range t {
		if i < r.Len() {
			return r.At(i)
		}
		i -= r.Len()
	}
	panic("scan: no target of that index")
}

// Index returns the index of the first target with the address that the text says, as
// wire.Address has it.
func (t Targets) Index(text string) (int64, error) {
	one, err := ParseIDs(text)
	if err != nil || len(one) != 1 || one.Len() != 1 {
		one, err = ParseWithBytes(text)
	}
	if err != nil || len(one) != 1 || one.Len() != 1 {
		return 0, fmt.Errorf("%q is not one address, as 7A0, 18DA10F1 or 6F1#42", text)
	}
	before := int64(0)
	for _, r := range t {
		if i, ok := r.index(one.At(0)); ok {
			return before + i, nil
		}
		before += r.Len()
	}
	return 0, fmt.Errorf("%s is not among the addresses to be probed", text)
}

// overheads says which lengths of address information the targets have, 0 and 1.
func (t Targets) overheads() (has [2]bool) {
	for _, r := range t {
		has[r.first.Overhead()] = true
	}
	return has
}

// ParseIDs parses identifiers and ranges of them, with commas between:
//
//	700-7FF,18DA00F1-18DAFFF1
//
// 3 digits are an identifier of 11 bits, 8 digits one of 29.
func ParseIDs(text string) (Targets, error) { return parseList(text, parseIDs) }

func parseIDs(text string) (Range, error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	a, err := parseID(first)
	if err != nil {
		return Range{}, err
	}
	b, err := parseID(last)
	switch {
	case err != nil:
		return Range{}, err
	case a.Extended != b.Extended:
		return Range{}, fmt.Errorf("%s has identifiers of 11 and of 29 bits: want two ranges", text)
	case a.ID > b.ID:
		return Range{}, fmt.Errorf("%s begins behind its end: want %s-%s", text, last, first)
	}
	return Range{first: a, step: 1, ids: int64(b.ID-a.ID) + 1, bytes: 1}, nil
}

func parseID(text string) (wire.Address, error) {
	id, err := strconv.ParseUint(text, 16, 32)
	switch {
	case err != nil || len(text) != 3 && len(text) != 8:
		return wire.Address{}, fmt.Errorf("%q is not an identifier of 3 hexadecimal digits (11 bits) or 8 (29 bits), as 7E0 or 18DA10F1", text)
	case len(text) == 3 && id > canbus.MaxStandardID:
		return wire.Address{}, fmt.Errorf("identifier %s is above 7FF (29 bits take 8 digits)", text)
	case id > canbus.MaxExtendedID:
		return wire.Address{}, fmt.Errorf("identifier %s is above 1FFFFFFF", text)
	}
	return wire.Address{ID: uint32(id), Extended: len(text) == 8}, nil
}

// ParseWithBytes parses identifiers with address bytes, as extended and mixed addressing
// have them: identifiers as ParseIDs takes them, a #, and a byte or a range of bytes. Without
// # all bytes are meant.
//
//	6F1#00-FF,600-6FF#F1
func ParseWithBytes(text string) (Targets, error) { return parseList(text, parseWithBytes) }

func parseWithBytes(text string) (Range, error) {
	ids, bytes, has := strings.Cut(text, "#")
	if !has {
		bytes = "00-FF"
	}
	r, err := parseIDs(ids)
	if err != nil {
		return Range{}, err
	}
	return r.withBytes(bytes)
}

// withBytes returns the range with each of some address bytes.
func (r Range) withBytes(text string) (Range, error) {
	first, last, err := parseBytes(text)
	if err != nil {
		return Range{}, err
	}
	r.first.HasByte, r.first.Byte, r.bytes = true, first, int64(last-first)+1
	return r, nil
}

func parseBytes(text string) (first, last byte, err error) {
	a, b, isRange := strings.Cut(text, "-")
	if !isRange {
		b = a
	}
	x, err1 := strconv.ParseUint(a, 16, 8)
	y, err2 := strconv.ParseUint(b, 16, 8)
	if err1 != nil || err2 != nil || len(a) > 2 || len(b) > 2 || x > y {
		return 0, 0, fmt.Errorf("%q is not a byte of two hexadecimal digits nor a range of them, as F1 or 00-FF", text)
	}
	return byte(x), byte(y), nil
}

// ParseFixed parses the targets of normal fixed addressing, 10 or 00-FF, with commas between,
// from the address source.
func ParseFixed(text string, source byte) (Targets, error) {
	return parseList(text, func(text string) (Range, error) { return parseNodes(text, wire.UpperFixed, source) })
}

// ParseMixed parses what mixed addressing is to be tried on. Identifiers of 3 digits are those
// of 11 bits; two digits are a target of mixed addressing on 29 bits, from the address source.
// Behind a # stands the address extension, or a range of them; without it all are meant.
//
//	7E0-7E7#99,00-FF#99
func ParseMixed(text string, source byte) (Targets, error) {
	return parseList(text, func(text string) (Range, error) {
		nodes, bytes, has := strings.Cut(text, "#")
		if first, _, _ := strings.Cut(nodes, "-"); len(first) > 2 {
			return parseWithBytes(text)
		}
		if !has {
			bytes = "00-FF"
		}
		r, err := parseNodes(nodes, wire.UpperMixed, source)
		if err != nil {
			return Range{}, err
		}
		return r.withBytes(bytes)
	})
}

// parseNodes parses target addresses, N_TA.
func parseNodes(text string, upper uint32, source byte) (Range, error) {
	first, last, err := parseBytes(text)
	if err != nil {
		return Range{}, err
	}
	a := wire.Address{ID: upper<<16 | uint32(source), Extended: true}.To(first)
	return Range{first: a, step: 1 << 8, ids: int64(last-first) + 1, bytes: 1}, nil
}

func parseList(text string, parse func(string) (Range, error)) (Targets, error) {
	var t Targets
	for part := range strings.SplitSeq(text, ",") {
		r, err := parse(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		t = append(t, r)
	}
	return t, nil
}
