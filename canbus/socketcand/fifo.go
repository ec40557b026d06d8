package socketcand

// A fifo is a queue in an array that it uses again and again.
type fifo[T any] struct {
	list []T
	head int // of list; what is before it has been taken
}

func (q *fifo[T]) len() int { return len(q.list) - q.head }

// waiting returns what is in the queue, until it changes.
func (q *fifo[T]) waiting() []T { return q.list[q.head:] }

func (q *fifo[T]) push(v T) {
	// At least half of the array has been taken: each element is moved once at most.
	if len(q.list) == cap(q.list) && q.head > len(q.list)/2 {
		q.list = q.list[:copy(q.list, q.waiting())]
		q.head = 0
	}
	q.list = append(q.list, v)
}

// pop takes the first of a queue that is not empty.
func (q *fifo[T]) pop() T {
	v := q.list[q.head]
	q.drop(1)
	return v
}

// take moves the first ones to b, as many as there are and there is room for.
func (q *fifo[T]) take(b []T) int {
	n := copy(b, q.waiting())
	q.drop(n)
	return n
}

// truncate keeps the first n of those that wait.
func (q *fifo[T]) truncate(n int) { q.list = q.list[:q.head+n] }

func (q *fifo[T]) drop(n int) {
	if q.head += n; q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
}
