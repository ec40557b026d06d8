package stream

// A buffer holds bytes until they are read. It is a ring that grows as needed.
type buffer struct {
	ring        []byte // its length is a power of two
	read, wrote uint   // how many bytes there were since the ring was empty, or grew
}

const minRing = 512

func (b *buffer) len() int { return int(b.wrote - b.read) }

func (b *buffer) write(p []byte) {
	if need := b.len() + len(p); need > len(b.ring) {
		b.grow(need)
	}
	at := int(b.wrote) & (len(b.ring) - 1)
	n := copy(b.ring[at:], p)
	copy(b.ring, p[n:])
	b.wrote += uint(len(p))
}

// take moves as many bytes to p as there are and fit.
func (b *buffer) take(p []byte) int {
	n := b.peek(p)
	b.read += uint(n)
	if b.read == b.wrote {
		b.read, b.wrote = 0, 0 // the front of the ring is the likeliest to be in the processor's cache
	}
	return n
}

// peek copies as many bytes to p as there are and fit, and leaves them in the buffer.
func (b *buffer) peek(p []byte) int {
	p = p[:min(len(p), b.len())]
	if len(p) == 0 {
		return 0
	}
	at := int(b.read) & (len(b.ring) - 1)
	n := copy(p, b.ring[at:])
	copy(p[n:], b.ring)
	return len(p)
}

func (b *buffer) grow(need int) {
	size := max(minRing, len(b.ring))
	for size < need {
		size *= 2
	}
	ring := make([]byte, size)
	b.wrote = uint(b.peek(ring))
	b.ring, b.read = ring, 0
}
