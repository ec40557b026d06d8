package fifo

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The queue does what a slice does, which is cut at its beginning.
func TestAQueueIsASlice(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var q Queue[int]
	var want []int
	for i := range 20_000 {
		switch n := r.IntN(10); {
		case n < 6:
			q.Push(i)
			want = append(want, i)
		case n < 8 && len(want) > 0:
			if got := q.Pop(); got != want[0] {
				t.Fatalf("Pop returns %d, want %d", got, want[0])
			}
			want = want[1:]
		case n == 8:
			got := make([]int, r.IntN(8))
			n := q.Take(got)
			if !slices.Equal(got[:n], want[:min(len(got), len(want))]) {
				t.Fatalf("Take returns %v of %v", got[:n], want)
			}
			want = want[n:]
		case n == 9:
			k := r.IntN(len(want) + 1)
			q.Truncate(k)
			want = want[:k]
		}
		if q.Len() != len(want) || !slices.Equal(q.Waiting(), want) {
			t.Fatalf("%d elements are %v, want %v", q.Len(), q.Waiting(), want)
		}
	}
}

func TestAQueueThatIsEmptiedDoesNotGrow(t *testing.T) {
	var q Queue[int]
	for i := range 1000 {
		q.Push(i)
		q.Pop()
	}
	if cap(q.list) > 1 {
		t.Errorf("it has room for %d", cap(q.list))
	}
}
