package cannelloni

import (
	"testing"
	"time"
)

func TestNumbersTellWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		name    string
		numbers []byte
		missing int
		late    int
		after   time.Duration
	}{
		{"in order", []byte{0, 1, 2, 3}, 0, 0, 0},
		{"the first is any", []byte{200, 201}, 0, 0, 0},
		{"over the end", []byte{254, 255, 0, 1}, 0, 0, 0},
		{"one missing", []byte{1, 3, 4}, 1, 0, 0},
		{"many missing", []byte{10, 210, 211}, 199, 0, 0},
		{"missing over the end", []byte{250, 2, 3}, 7, 0, 0},
		{"exchanged", []byte{1, 3, 2, 4}, 1, 1, 0},
		{"twice", []byte{1, 2, 2, 3}, 0, 1, 0},
		{"the peer begins anew", []byte{97, 98, 0, 1, 2}, 1, 0, 0},
		{"the peer begins anew early", []byte{0, 1, 2, 0, 1, 2}, 1, 0, restart},
		{"the first comes twice", []byte{255, 0, 0, 1}, 0, 1, 0},
		{"the first comes late", []byte{255, 1, 0, 2}, 1, 1, 0},
	} {
		var s sequence
		missing, late := 0, 0
		for _, n := range c.numbers {
			m, l := s.take(n, c.after)
			missing += m
			if l {
				late++
			}
		}
		if missing != c.missing || late != c.late {
			t.Errorf("%s: %v: %d missing, %d late; want %d, %d", c.name, c.numbers, missing, late, c.missing, c.late)
		}
	}
}
