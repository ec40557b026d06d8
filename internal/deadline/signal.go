package deadline

// A Signal wakes the goroutine that waits for it, also when it came first. It takes a
// channel when one waits: connections that are open and idle can be many. The
// zero value is ready to use. All but Wait is called under the owner's lock.
type Signal struct{ c chan struct{} }

// Make is called before Wait.
func (s *Signal) Make() {
	if s.c == nil {
		s.c = make(chan struct{}, 1)
	}
}

// Wait waits for the signal. It reports false if the deadline comes first.
func (s *Signal) Wait(d *Deadline) bool {
	select {
	case <-s.c:
		return true
	default:
	}
	select {
	case <-s.c:
		return true
	case <-d.Wait():
		return false
	}
}

// Set wakes.
func (s *Signal) Set() {
	if s.c == nil {
		return
	}
	select {
	case s.c <- struct{}{}:
	default:
	}
}

// A Turn lets one goroutine in at a time. It is not a sync.Mutex because goroutines that
// wait have deadlines.
type Turn struct {
	Taken bool
	Free  Signal
}

// Leave lets the next one in. It is called under the owner's lock.
func (t *Turn) Leave() {
	t.Taken = false
	t.Free.Set()
}
