package udsclient

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/ecutest"
)

// dial dials a simulated ECU with more responses, in the test's bubble.
func dial(t *testing.T, responses string) *Client {
	t.Helper()
	ecutest.Serve(t, "virtual:uds/7E8:7E0", "", responses)
	c, err := Dial(t.Context(), "virtual:uds/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// pipe returns a Client, and the other end of its connection.
func pipe(t *testing.T) (*Client, *isotpnet.Conn) {
	t.Helper()
	ecu, tester, err := isotpnet.Pipe(&isotpnet.Config{DeadlineAtFirstFrame: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ecu.Close(); tester.Close() })
	return New(tester), ecu
}

func TestRequest(t *testing.T) {
	for _, tc := range []struct{ request, want, err string }{
		{"\x22\xF1\x90", "\xF1\x90WVWZZZ1JZXW000001", "<nil>"},
		{"\x22\xF1\x91", "", "the ECU refuses service 22: code 31"},
		{"\x31\x01", "\x01\xAB", "<nil>"}, // pending twice
		{"\x3E\x00", "\x00", "<nil>"},
		{"\x19\x02", "", "<nil>"}, // the service alone
		{"\x14\xFF", "", "i/o timeout"},
		{"", "", "a request needs a service"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dial(t, "31* : 7F3178 | 7F3178 | 7101AB\n19* : 59\n14* : 7F")
			got, err := c.Request(t.Context(), []byte(tc.request)...)
			if string(got) != tc.want || !strings.HasSuffix(fmt.Sprint(err), tc.err) {
				t.Errorf("% X: % X, %v; want % X, %s", tc.request, got, err, tc.want, tc.err)
			}
		})
	}
}

// Each time that the ECU says so it may take longer, but not for ever.
func TestAnswerThatIsPendingForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ecu := pipe(t)
		var answering sync.WaitGroup
		answering.Go(func() {
			for err := error(nil); err == nil; time.Sleep(c.P2 / 2) {
				_, err = ecu.Write([]byte{0x7F, 0x31, 0x78})
			}
		})
		defer answering.Wait()
		defer ecu.Close()
		start := time.Now()
		if _, err := c.Request(t.Context(), 0x31); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != c.Patience {
			t.Errorf("after %v, want %v", took, c.Patience)
		}
	})
}

// An ECU may put a request off with WAITs, but not for ever.
func TestRequestThatIsPutOffForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Dial(t.Context(), "virtual:uds/7E0:7E8")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ecu, err := canbus.Open(t.Context(), "virtual:uds")
		if err != nil {
			t.Fatal(err)
		}
		var waits sync.WaitGroup
		waits.Go(func() {
			for err := error(nil); err == nil; time.Sleep(500 * time.Millisecond) {
				_, err = ecu.WriteFrames([]canbus.Frame{{ID: 0x7E8, Len: 3, Data: [64]byte{0x31}}})
			}
		})
		defer waits.Wait()
		defer ecu.Close()
		start := time.Now()
		if _, err := c.Request(t.Context(), make([]byte, 100)...); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != c.Patience {
			t.Errorf("after %v, want %v", took, c.Patience)
		}
	})
}

func TestContextEndsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ecu := pipe(t)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := c.Request(ctx, 0x22, 0xF1, 0x90); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("after %v, want 300ms", took)
		}
		if _, err := c.Request(ctx, 0x3E, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a context that has ended: %v", err)
		}
		go func() {
			time.Sleep(time.Millisecond)
			ecu.Write([]byte{0x7E, 0})
		}()
		if answer, err := c.Request(t.Context(), 0x3E, 0); err != nil || string(answer) != "\x00" {
			t.Errorf("the next request: % X, %v", answer, err)
		}
	})
}

// An answer that came too late is not the next request's.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ecu := pipe(t)
		if _, err := c.Request(t.Context(), 0x22, 0xF1, 0x90); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		ecu.Write([]byte("\x62\xF1\x90late"))
		synctest.Wait()
		go func() {
			time.Sleep(time.Millisecond)
			ecu.Write([]byte("\x62\xF1\x8Cright"))
		}()
		if answer, err := c.Request(t.Context(), 0x22, 0xF1, 0x8C); err != nil || string(answer) != "\xF1\x8Cright" {
			t.Errorf("% X, %v", answer, err)
		}
	})
}
