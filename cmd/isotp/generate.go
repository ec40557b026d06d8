package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// A sizeRange is from how many to how many bytes messages have.
type sizeRange struct{ min, max int64 }

// UnmarshalText takes one size, or the smallest and the largest with a dash between them.
func (r *sizeRange) UnmarshalText(text []byte) error {
	from, to, isRange := strings.Cut(string(text), "-")
	if !isRange {
		to = from
	}
	var errs [2]error
	r.min, errs[0] = strconv.ParseInt(from, 10, 64)
	r.max, errs[1] = strconv.ParseInt(to, 10, 64)
	if errs != [2]error{} || r.min < 1 || r.max < r.min || r.max > maxMessage {
		return fmt.Errorf("%q is not a size from 1 to %d bytes, as 100, nor a range of them, as 1-4095", text, int64(maxMessage))
	}
	return nil
}

// A generator makes messages, one after the other.
type generator struct {
	size   sizeRange
	random *rand.Rand    // nil: counted messages
	source *rand.ChaCha8 // of random
	number uint32        // of the next message
	buf    []byte
}

// A generateKind is which messages are made.
type generateKind string

const (
	generateRandom generateKind = "random"
	generateCount  generateKind = "count"
)

// UnmarshalText takes the kinds' names.
func (k *generateKind) UnmarshalText(text []byte) error {
	*k = generateKind(text)
	if *k != generateRandom && *k != generateCount {
		return fmt.Errorf("%q is neither random nor count", text)
	}
	return nil
}

// newGenerator returns a generator of that kind. The same seed gives the same messages.
func newGenerator(kind generateKind, size sizeRange, seed uint64) *generator {
	g := &generator{size: size}
	if kind == generateRandom {
		var key [32]byte
		binary.LittleEndian.PutUint64(key[:], seed)
		g.source = rand.NewChaCha8(key)
		g.random = rand.New(g.source)
	}
	return g
}

// next makes a message, which is valid until the next call.
func (g *generator) next() []byte {
	sizes := uint64(g.size.max - g.size.min + 1)
	size := uint64(g.size.min)
	if g.random != nil {
		size += g.random.Uint64N(sizes)
	} else {
		size += uint64(g.number) % sizes
	}
	if uint64(cap(g.buf)) < size {
		g.buf = make([]byte, size)
	}
	g.buf = g.buf[:size]
	if g.random != nil {
		g.source.Read(g.buf)
	} else {
		fillCounted(g.buf, g.number)
	}
	g.number++
	return g.buf
}

// numberSize is how many bytes of a counted message are its number.
const numberSize = 4

// fillCounted writes the content of the counted message of that number: the number in four
// bytes, the most significant first, and bytes that count up from its lowest. A shorter
// message has the lowest bytes of the number only.
func fillCounted(p []byte, number uint32) {
	var digits [numberSize]byte
	binary.BigEndian.PutUint32(digits[:], number)
	n := copy(p, digits[numberSize-min(numberSize, len(p)):])
	for i := n; i < len(p); i++ {
		p[i] = byte(int(number) + i)
	}
}

// countedNumber returns the number of a counted message, and those of its bits that the
// message has.
func countedNumber(p []byte) (number, mask uint32) {
	n := min(numberSize, len(p))
	for _, b := range p[:n] {
		number = number<<8 | uint32(b)
		mask = mask<<8 | 0xFF
	}
	return number, mask
}

// A countChecker finds out whether counted messages come as they were made.
type countChecker struct {
	next                     uint32 // the number that is due
	messages, bytes          uint64
	changed, lost, misplaced uint64
	want                     []byte
}

// check says what is wrong with a message, or before it.
func (c *countChecker) check(p []byte) error {
	number, mask := countedNumber(p)
	ahead := (number - c.next) & mask // of which number it is, as far as it has digits
	c.messages++
	c.bytes += uint64(len(p))

	full := c.next + ahead
	if ahead > mask/2 { // it has come before
		full -= mask + 1
	}
	c.want = append(c.want[:0], p...)
	fillCounted(c.want, full)
	if i := firstDifference(p, c.want); i >= 0 {
		c.changed++
		c.next++ // most likely the one that was due
		return fmt.Errorf("message %d (%d bytes) is not as it was made: byte %d is %02X, want %02X", c.messages, len(p), i, p[i], c.want[i])
	}
	due := c.next
	c.next = full + 1
	switch {
	case ahead == 0:
		return nil
	case ahead > mask/2:
		c.misplaced++
		return fmt.Errorf("message %d has the number %d, and %d was due: it came twice or late, or its sender began anew", c.messages, full, due)
	}
	c.lost += uint64(ahead)
	return fmt.Errorf("message %d has the number %d, and %d was due: %s missing", c.messages, full, due, missing(uint64(ahead)))
}

func missing(n uint64) string {
	return count(n, "message") + plural(n, " is", " are")
}

// firstDifference returns where two slices of one length first differ, -1 if nowhere.
func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// failed says what was wrong in all; nil: nothing.
func (c *countChecker) failed() error {
	if c.changed+c.lost+c.misplaced == 0 {
		return nil
	}
	return fmt.Errorf("of %s with %s, %d changed, %d missing before them, %d out of turn",
		count(c.messages, "counted message"), count(c.bytes, "byte"), c.changed, c.lost, c.misplaced)
}
