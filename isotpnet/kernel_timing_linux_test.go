package isotpnet

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/isotp/test/vm/cantest"
	"golang.org/x/sys/unix"
)

// A timedScript is what a peer does, and when. Both backends go through it, and what
// they do is compared, with the time: the frames they send, how the Write ended, and what
// was read.
type timedScript struct {
	name   string
	config Config
	write  int // begin by a Write of so many bytes; 0: none
	steps  []timedFrame
	want   string // of both, or of the user
	kernel string // what the kernel does where it is something else; see the package's documentation
}

// A timedFrame is sent so many milliseconds after the beginning.
type timedFrame struct {
	at    int
	frame string
}

const (
	cts     = "7E8#300000"
	wait    = "7E8#310000"
	ff20    = "7E8#1014303132333435"
	cf1     = "7E8#2136373839303132"
	cf2     = "7E8#2233343536373839"
	message = "read 3031323334353637383930313233343536373839"
	fourth  = "7E0#2330313233343536"
	first27 = "7E0#101B303132333435"
)

var timedScripts = []timedScript{
	{name: "CTS just in time", write: 20, steps: []timedFrame{{900, cts}},
		want: "0 " + first + ", 900 " + second + ", 900 " + third + ", 900 sent"},
	{name: "CTS too late", write: 20, steps: []timedFrame{{1100, cts}},
		want: "0 " + first + ", 1000 N_TIMEOUT_Bs"},
	{name: "WAIT restarts N_Bs", write: 20, steps: []timedFrame{{600, wait}, {1500, cts}},
		want: "0 " + first + ", 1500 " + second + ", 1500 " + third + ", 1500 sent"},
	{name: "silence after WAIT", write: 20, steps: []timedFrame{{600, wait}},
		want: "0 " + first + ", 1600 N_TIMEOUT_Bs"},
	{name: "STmin 20 ms", write: 27, steps: []timedFrame{{10, "7E8#300014"}},
		want: "0 " + first27 + ", 10 " + second + ", 30 " + third + ", 50 " + fourth + ", 50 sent"},
	{name: "reserved STmin is 127 ms", write: 27, steps: []timedFrame{{10, "7E8#300080"}},
		want: "0 " + first27 + ", 10 " + second + ", 137 " + third + ", 264 " + fourth + ", 264 sent"},
	{name: "OverrideSTmin", config: Config{OverrideSTmin: 30 * time.Millisecond}, write: 27, steps: []timedFrame{{10, cts}},
		want: "0 " + first27 + ", 10 " + second + ", 40 " + third + ", 70 " + fourth + ", 70 sent"},
	{name: "a CTS in each block, STmin 50 ms", write: 27, steps: []timedFrame{{10, "7E8#300132"}, {30, "7E8#300132"}, {100, "7E8#300132"}},
		want:   "0 " + first27 + ", 10 " + second + ", 60 " + third + ", 110 " + fourth + ", 110 sent",
		kernel: "0 " + first27 + ", 10 " + second + ", 30 " + third + ", 100 " + fourth + ", 100 sent"},
	{name: "a single frame while sending", write: 27, steps: []timedFrame{{10, "7E8#300014"}, {20, "7E8#0141"}},
		want: "0 " + first27 + ", 10 " + second + ", 20 read 41, 30 " + third + ", 50 " + fourth + ", 50 sent"},
	{name: "OVFLW in time", write: 20, steps: []timedFrame{{500, "7E8#320000"}},
		want: "0 " + first + ", 500 N_BUFFER_OVFLW"},
	{name: "CF just in time", steps: []timedFrame{{0, ff20}, {900, cf1}, {1800, cf2}},
		want: "0 " + control + ", 1800 " + message},
	{name: "first CF too late", steps: []timedFrame{{0, ff20}, {1100, cf1}, {1110, cf2}, {1120, "7E8#0141"}},
		want: "0 " + control + ", 1120 read 41"},
	{name: "second CF too late", steps: []timedFrame{{0, ff20}, {500, cf1}, {1600, cf2}, {1610, "7E8#0141"}},
		want: "0 " + control + ", 1610 read 41"},
	{name: "N_Cr restarts in the next block", config: Config{BlockSize: 1}, steps: []timedFrame{{0, ff20}, {900, cf1}, {1800, cf2}},
		want: "0 7E0#300100CCCCCCCCCC, 900 7E0#300100CCCCCCCCCC, 1800 " + message},
	{name: "CFs sooner than STmin", config: Config{STmin: 20 * time.Millisecond}, steps: []timedFrame{{0, ff20}, {10, cf1}, {20, cf2}},
		want: "0 7E0#300014CCCCCCCCCC, 20 " + message},
	{name: "a first frame interrupts", steps: []timedFrame{{0, ff20}, {900, ff20}, {1800, cf1}, {1810, cf2}},
		want: "0 " + control + ", 900 " + control + ", 1810 " + message},
	{name: "an ignored frame does not restart N_Cr", steps: []timedFrame{{0, ff20}, {900, "7E8#4000"}, {1100, cf1}, {1110, cf2}, {1120, "7E8#0141"}},
		want: "0 " + control + ", 1120 read 41"},
	{name: "both directions", write: 27, steps: []timedFrame{{10, "7E8#300014"}, {20, ff20}, {30, cf1}, {40, cf2}},
		want: "0 " + first27 + ", 10 " + second + ", 20 " + control + ", 30 " + third + ", 40 " + message + ", 50 " + fourth + ", 50 sent"},
}

func TestBackendsDoTheSameAtTheSameTime(t *testing.T) {
	cantest.Need(t)
	cantest.NeedExactTime(t)
	for _, s := range timedScripts {
		t.Run(s.name, func(t *testing.T) {
			for _, network := range []string{"isotp:user", "isotp:kernel"} {
				want := s.want
				if network == "isotp:kernel" {
					want = cmp.Or(s.kernel, s.want)
				}
				wanted := parseTimeline(want)
				got := s.run(t, network, wanted)
				for again := 1; again < attempts && got.is(wanted, hang) && !got.is(wanted, late); again++ {
					got = s.run(t, network, wanted)
				}
				if !got.is(wanted, late) {
					t.Errorf("%s:\n%s\nwant\n%s", network, got, want)
				}
			}
		})
	}
}

// A timeline is what happened, and when.
type timeline struct {
	start time.Time
	added chan struct{} // has room for one: an event was added

	mu     sync.Mutex
	events []timedEvent
}

type timedEvent struct {
	at   time.Duration
	text string
}

func newTimeline() *timeline {
	return &timeline{start: time.Now(), added: make(chan struct{}, 1)}
}

// parseTimeline reads what a timedScript wants.
func parseTimeline(s string) []timedEvent {
	var events []timedEvent
	for text := range strings.SplitSeq(s, ", ") {
		ms, text, _ := strings.Cut(text, " ")
		at, err := time.ParseDuration(ms + "ms")
		if err != nil {
			panic(err)
		}
		events = append(events, timedEvent{at, text})
	}
	return events
}

func (l *timeline) add(text string) {
	at := time.Since(l.start)
	l.mu.Lock()
	l.events = append(l.events, timedEvent{at, text})
	l.mu.Unlock()
	select {
	case l.added <- struct{}{}:
	default:
	}
}

func (l *timeline) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events)
}

// await waits until that time, and, at most a hang longer, until what is wanted before
// it has happened. Without the latter a step would overtake what it answers whenever
// the machine's processor is elsewhere, and what happens would be something else.
func (l *timeline) await(at time.Duration, want []timedEvent) {
	time.Sleep(time.Until(l.start.Add(at)))
	before := 0
	for _, e := range want {
		if e.at < at {
			before++
		}
	}
	over := time.After(hang)
	for l.len() < before {
		select {
		case <-l.added:
		case <-over:
			return
		}
	}
}

const (
	// late is by how much things may come after their time: the machine's processor
	// is slow. Nothing may come before.
	late = 15 * time.Millisecond
	// Now and then it has something else to do for longer, but not for as long as
	// changes what happens. What is late because of us is late in every attempt.
	hang     = 80 * time.Millisecond
	attempts = 5
)

// is reports whether what is wanted happened, at most so late, and nothing else.
func (l *timeline) is(want []timedEvent, late time.Duration) bool {
	events := slices.Clone(l.events)
	for _, w := range want {
		i := slices.IndexFunc(events, func(e timedEvent) bool { return e.text == w.text })
		if i < 0 || events[i].at < w.at || events[i].at > w.at+late {
			return false
		}
		events = slices.Delete(events, i, i+1)
	}
	return len(events) == 0
}

func (l *timeline) String() string {
	var texts []string
	for _, e := range l.events {
		texts = append(texts, fmt.Sprintf("%.1f %s", float64(e.at.Microseconds())/1000, e.text))
	}
	return strings.Join(texts, ", ")
}

// run returns what the backend does.
func (s *timedScript) run(t *testing.T, network string, want []timedEvent) *timeline {
	name := newInterface(t)
	peer, ear := newRawPeer(t, name), newRawPeer(t, name)
	c := (&Dialer{Config: s.config}).mustDial(t, network, name+"/7E0:7E8")
	defer c.Close()
	l := newTimeline()
	var tasks sync.WaitGroup
	tasks.Go(func() {
		buf := make([]byte, 100)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			l.add(fmt.Sprintf("read %X", buf[:n]))
		}
	})
	const after = 1500 * time.Millisecond // nothing happens later than that
	must(t, unix.SetsockoptTimeval(ear.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}))
	tasks.Go(func() {
		for {
			f, err := ear.tryNext()
			if err != nil {
				return // it has been quiet for 2 s
			}
			if strings.HasPrefix(f, "7E0") {
				l.add(f)
			}
		}
	})
	if s.write > 0 {
		tasks.Go(func() {
			_, err := c.Write(times(s.write))
			outcome := "sent"
			if e, ok := errors.AsType[*ProtocolError](err); ok {
				outcome, _, _ = strings.Cut(e.Code.String(), ":")
			} else if err != nil {
				outcome = err.Error()
			}
			l.add(outcome)
		})
	}
	for _, step := range s.steps {
		l.await(time.Duration(step.at)*time.Millisecond, want)
		peer.send(step.frame)
	}
	time.Sleep(after)
	c.SetReadDeadline(time.Now())
	tasks.Wait()
	return l
}
