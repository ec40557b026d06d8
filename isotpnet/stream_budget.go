package isotpnet

import (
	"slices"
	"sync"

	"example.com/isotp/internal/stream"
)

// streamWindows are the windows that the peers of one listener have together: so many
// sources as there are on a bus, or are forged, cannot fill the memory.
//
// Its lock is a leaf: it is taken under streamPair.mu.
type streamWindows struct {
	mu      sync.Mutex
	holders map[*stream.Session]struct{}
	// unconfirmed are those of the holders that anybody may have asked for, the oldest
	// first.
	unconfirmed []windowHolder
}

type windowHolder struct {
	pair    *streamPair
	session *stream.Session
}

// A pairWindows is how the sessions of a pair get to them.
type pairWindows struct {
	*streamWindows
	pair *streamPair
}

var _ stream.Windows = pairWindows{}

// Take implements stream.Windows.
func (w pairWindows) Take(s *stream.Session) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.holders) == maxStreams {
		if len(w.unconfirmed) == 0 {
			return false
		}
		oldest := w.unconfirmed[0]
		w.unconfirmed = slices.Delete(w.unconfirmed, 0, 1)
		delete(w.holders, oldest.session)
		go oldest.evict() // its pair may be locked, or another
	}
	if w.holders == nil {
		w.holders = make(map[*stream.Session]struct{})
	}
	w.holders[s] = struct{}{}
	w.unconfirmed = append(w.unconfirmed, windowHolder{w.pair, s})
	return true
}

// Confirm implements stream.Windows.
func (w pairWindows) Confirm(s *stream.Session) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.confirm(s)
	_, holds := w.holders[s]
	return holds
}

// Give implements stream.Windows.
func (w pairWindows) Give(s *stream.Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.confirm(s)
	delete(w.holders, s)
}

func (w *streamWindows) confirm(s *stream.Session) {
	w.unconfirmed = slices.DeleteFunc(w.unconfirmed, func(h windowHolder) bool { return h.session == s })
}

// evict ends a session whose window is another's.
func (h windowHolder) evict() {
	h.pair.mu.Lock()
	h.session.Evict()
	h.pair.unlock()
}
