package deadline

// A Signal wakes the goroutine that waits for it, also when it came first. It takes a
// channel when one waits: connections that are open and idle can be many. The
// zero value is ready to use. Make and Set are called under the owner's lock.
type Signal struct {
	c chan bool // false is from a deadline
}

// Make is called before Wait.
func (s *Signal) Make() {
	if s.c == nil {
		s.c = make(chan bool, 1)
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

// WaitAlone is Wait where no other goroutine waits for the signal at that time. It costs less
// than to wait for two channels. Now and then it returns true without a signal.
func (s *Signal) WaitAlone(d *Deadline) bool {
	select {
	case <-s.c: // or what an earlier deadline has left
		return true
	default:
	}
	if !d.end(s) {
		return s.Wait(d)
	}
	defer d.letGo()
	return <-s.c
}

// Set wakes.
func (s *Signal) Set() {
	if s.c != nil {
		s.send(true)
	}
}

func (s *Signal) send(signal bool) {
	select {
	case s.c <- signal:
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
