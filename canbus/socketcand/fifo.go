package socketcand

// A fifo is a queue in an array, which it uses again.
type fifo[T any] struct {
	list []T
	head int // the index of the first element that was not taken
}

func (q *fifo[T]) len() int { return len(q.list) - q.head }

// waiting returns the elements in the queue. The slice is valid until the queue changes.
func (q *fifo[T]) waiting() []T { return q.list[q.head:] }

func (q *fifo[T]) push(v T) {
	// More than half of the elements have been taken, so each element is moved at most once.
	if len(q.list) == cap(q.list) && q.head > len(q.list)/2 {
		q.list = q.list[:copy(q.list, q.waiting())]
		q.head = 0
	}
	q.list = append(q.list, v)
}

// pop takes the first element of a queue that is not empty.
func (q *fifo[T]) pop() T {
	v := q.list[q.head]
	q.drop(1)
	return v
}

// take moves as many of the first elements to b as fit, and returns how many.
func (q *fifo[T]) take(b []T) int {
	n := copy(b, q.waiting())
	q.drop(n)
	return n
}

// truncate keeps the first n elements.
func (q *fifo[T]) truncate(n int) { q.list = q.list[:q.head+n] }

func (q *fifo[T]) drop(n int) {
	if q.head += n; q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
}
