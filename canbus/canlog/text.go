package canlog

import (
	"math"
	"time"
)

// cutWord returns the first word of a line, and what is behind it. Words are separated by
// spaces, tabs and the like.
func cutWord(line []byte) (word, rest []byte) {
	start := 0
	for start < len(line) && isSpace(line[start]) {
		start++
	}
	end := start
	for end < len(line) && !isSpace(line[end]) {
		end++
	}
	return line[start:end], line[end:]
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// number returns the value of a word of digits, in base 10 or 16 and at most limit.
func number(word []byte, base, limit uint64) (v uint64, ok bool) {
	for _, c := range word {
		var digit uint64
		switch {
		case c >= '0' && c <= '9':
			digit = uint64(c - '0')
		case c|0x20 >= 'a' && c|0x20 <= 'f' && base == 16:
			digit = uint64(c|0x20-'a') + 10
		default:
			return 0, false
		}
		if v = v*base + digit; v > limit {
			return 0, false
		}
	}
	return v, len(word) > 0
}

// maxTime is above all times of logs, in nanoseconds since 1970: the year 2262. Its double
// is no overflow in 64 bits without a sign.
const (
	maxTime    = math.MaxInt64 - 1_000_000_000
	maxSeconds = maxTime / 1_000_000_000
)

// inRange reports whether a time has a number of nanoseconds since 1970, and not before.
func inRange(t time.Time) bool { return t.Unix() >= 0 && t.Unix() < maxSeconds }

// addTime adds to a time that is not above maxTime, nor is the sum. Neither is negative.
func addTime(t, ns int64) int64 { return t + min(ns, maxTime-t) }

// decimal returns a number with a fraction, or without, in nanoseconds of a unit that has
// so many. What is less than a nanosecond is cut off.
func decimal(word []byte, unit int64) (ns int64, ok bool) {
	whole, fraction := word, []byte(nil)
	for i, c := range word {
		if c == '.' {
			whole, fraction = word[:i], word[i+1:]
			if len(fraction) == 0 {
				return 0, false
			}
			break
		}
	}
	units, ok := number(whole, 10, uint64(maxTime/unit))
	if !ok {
		return 0, false
	}
	ns = int64(units) * unit
	for _, c := range fraction {
		if c < '0' || c > '9' {
			return 0, false
		}
		unit /= 10
		ns += int64(c-'0') * unit
	}
	return ns, true
}
