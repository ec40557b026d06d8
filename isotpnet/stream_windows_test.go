package isotpnet

import (
	"testing"
	"testing/synctest"

	"example.com/isotp/internal/stream"
)

// All pairs of a listener share its windows, and none is taken from a confirmed session.
func TestWindowsAreBoundedForAllPairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shared streamWindows
		pairs := make([]pairWindows, 4)
		for i := range pairs {
			pairs[i] = pairWindows{&shared, newStreamPair(pairKey{}, Addr{}, new(Config))}
		}
		// Sessions of an endpoint that has none: Evict finds them over.
		sessions := make([]*stream.Session, maxStreams)
		for i := range sessions {
			var e stream.Endpoint
			e.Init(stream.Config{MaxMessage: stream.MaxMessage, Single: 7, PeerSingle: 7, Window: stream.MaxWindow, MaxSessions: 1, Random: func() uint32 { return 1 }})
			s, err := e.Dial(0)
			if err != nil {
				t.Fatal(err)
			}
			sessions[i] = s
			w := pairs[i%len(pairs)]
			if !w.Take(s) || i > 0 && !w.Confirm(s) {
				t.Fatalf("no window for session %d", i)
			}
		}
		next := new(stream.Session)
		if !pairs[1].Take(next) {
			t.Error("the only one that is not confirmed has not given way")
		}
		synctest.Wait()
		if pairs[0].Confirm(sessions[0]) {
			t.Error("it still has its window")
		}
		if sessions[0].Err() == nil {
			t.Error("it was not ended")
		}
		if !pairs[1].Confirm(next) || pairs[2].Take(new(stream.Session)) {
			t.Error("there is one window more than there are")
		}
		pairs[3].Give(sessions[3])
		if !pairs[2].Take(new(stream.Session)) {
			t.Error("a window that was returned is not there")
		}
	})
}
