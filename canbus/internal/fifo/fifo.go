// Package fifo is a queue for drivers: of frames that wait to be read, or for their echoes.
package fifo

// A Queue is first in, first out, in an array that it uses again. The zero value is empty.
type Queue[T any] struct {
	list []T
	head int // the index of the first element that was not taken
}

// Len returns how many elements are in the queue.
func (q *Queue[T]) Len() int { return len(q.list) - q.head }

// Waiting returns the elements in the queue. The slice is valid until the queue changes.
func (q *Queue[T]) Waiting() []T { return q.list[q.head:] }

// Push appends an element.
func (q *Queue[T]) Push(v T) {
	// More than half of the elements have been taken, so each element is moved at most once.
	if len(q.list) == cap(q.list) && q.head > len(q.list)/2 {
		q.list = q.list[:copy(q.list, q.Waiting())]
		q.head = 0
	}
	q.list = append(q.list, v)
}

// Pop takes the first element of a queue that is not empty.
func (q *Queue[T]) Pop() T {
	v := q.list[q.head]
	q.drop(1)
	return v
}

// Take moves as many of the first elements to b as fit, and returns how many.
func (q *Queue[T]) Take(b []T) int {
	n := copy(b, q.Waiting())
	q.drop(n)
	return n
}

// Truncate keeps the first n elements.
func (q *Queue[T]) Truncate(n int) { q.list = q.list[:q.head+n] }

func (q *Queue[T]) drop(n int) {
	if q.head += n; q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
}
