package isotpnet

import (
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// Nothing is left of a pair of addresses after its last stream: not at once, where
// the peer has not ended too.
func TestPairEndsWithItsLastStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := func() int {
			synctest.Wait()
			streamPairs.Lock()
			defer streamPairs.Unlock()
			return len(streamPairs.open)
		}
		before := open()
		want := func(n int, when string) {
			t.Helper()
			if got := open() - before; got != n {
				t.Errorf("%s: %d pairs are open, want %d", when, got, n)
			}
		}
		ln, err := Listen("isotp-stream", "virtual:pairs/7E8:7E0")
		mustDo(t, err)
		c, err := Dial("isotp-stream", "virtual:pairs/7E0:7E8")
		mustDo(t, err)
		accepted, err := ln.Accept()
		mustDo(t, err)
		want(2, "open")
		c.Close()
		want(2, "closed on one side")
		if _, err := accepted.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
		time.Sleep(linger)
		want(1, "closed on one side, and the peer knows")
		accepted.Close()
		want(1, "closed on both sides, and there is a listener")
		time.Sleep(linger)
		ln.Close()
		want(0, "closed")
	})
}

// linger is more than package stream's.
const linger = 5 * time.Second

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
