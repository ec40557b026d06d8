package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
)

// transfers are a message with BS 2 and STmin 5 ms, one gap of which is too short, its answer,
// and one that is not answered.
const transfers = `(1.000000) can0 7E0#1024000102030405
(1.000300) can0 7E8#300205
(1.001000) can0 7E0#2106070809101112
(1.006500) can0 7E0#2213141516171819
(1.007900) can0 7E8#300205
(1.008000) can0 7E0#2320212223242526
(1.012500) can0 7E0#2427282930313233
(1.012600) can0 7E8#300205
(1.013000) can0 7E0#2534353637
(1.020000) can0 7E8#0462F19001
(1.100000) can0 7E0#1024000102030405
`

func TestPerfOfALog(t *testing.T) {
	log := writeFile(t, transfers)
	r := isotp(t.Context(), nil, "perf", "--bitrate", "500000", log)
	r.want(t, exitOK, "")
	r.wantStdout(t, `           FROM         BYTES FRAMES     TIME   BYTE/S  BS  STMIN      MIN  MEDIAN     P99     MAX EARLY    LATE  LINE
(0.000000) 7E0             36      6     13ms    2.77k   2    5ms    4.5ms   4.5ms   5.5ms   5.5ms     1   266µs 12.1%
(0.020000) 7E8              4      1
(0.100000) 7E0              6      1                                                                                    given up: not ended with the last frame here

can0 7E0: 1 message, 1 given up, 42 bytes
  throughput  3.23 kB/s in messages (13ms), 420 B/s in all (100ms)
  asked       BS 2, STmin 5ms (1 message)
  gaps        2: min 4.5ms, median 4.5ms, p99 5.5ms, max 5.5ms
  STmin       not kept in 1 of 2 gaps, by up to 732µs; later by median 266µs, p99 266µs, max 266µs
  answers     3: min 100µs, median 300µs, p99 1.4ms, max 1.4ms until flow control
  line        12.1% of 500 kbit/s

can0 7E8: 1 message, 4 bytes
`)
}

func TestPerfAsJSON(t *testing.T) {
	r := isotp(t.Context(), strings.NewReader(transfers), "perf", "--json", "--id", "7E0:7E8", "-")
	r.want(t, exitOK, "")
	var lines []perfLine
	for d := json.NewDecoder(strings.NewReader(r.stdout)); d.More(); {
		var l perfLine
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	if len(lines) != 5 {
		t.Fatalf("%d lines, want 3 messages and 2 sums:\n%s", len(lines), r.stdout)
	}
	l := lines[0]
	if l.Type != "message" || l.From != "7E0" || l.Bytes != 36 || l.Seconds != 0.013 || *l.BlockSize != 2 || *l.STminMS != 5 ||
		l.Gaps.Max != 5.5 || *l.Early != 1 || l.EarlyByMS != 0.5 || l.FrameSize != 8 || l.Result != "complete" {
		t.Errorf("the first message is %+v", l)
	}
	if l := lines[3]; l.Type != "sum" || l.Messages != 1 || l.GivenUp != 1 || l.Bytes != 42 || l.Answers.Count != 3 {
		t.Errorf("the first sum is %+v", l)
	}
}

// In a bubble no time passes but that which is waited for.
func TestPerfOfAPairOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := isotp(t.Context(), nil, "perf", "--summary", "--self", "virtual:perfself/7E0:7E8", "--size", "100", "--count", "3", "--block-size", "4", "--stmin", "1ms", "--gap", "10ms")
		r.want(t, exitOK, "")
		r.wantStdout(t, `7E0: 3 messages, 300 bytes
  throughput  7.69 kB/s in messages (39ms), 5.08 kB/s in all (59ms)
  asked       BS 4, STmin 1ms (3 messages)
  gaps        30: min 1ms, median 1ms, p99 1ms, max 1ms
  STmin       kept in all of 30 gaps; later by median 0s, p99 0s, max 0s
  answers     12: min 0s, median 0s, p99 0s, max 0s until flow control
`)
	})
}

// The frames of a bus that takes no time may have one time in each message.
func TestPerfOfMessagesThatTakeNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := isotp(t.Context(), nil, "perf", "--summary", "--self", "virtual:perfself/7E0:7E8", "--size", "100", "--count", "3", "--gap", "10ms")
		r.want(t, exitOK, "")
		if want := "\n  throughput  15.0 kB/s in all (20ms)\n"; !strings.Contains(r.stdout, want) {
			t.Errorf("it says\n%swant %q", r.stdout, want)
		}
	})
}

func TestPerfSelfFailsAsItsMessagesDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := isotp(t.Context(), nil, "perf", "--self", "virtual:perffails/7E0:7E8", "--max-message-size", "100")
		r.want(t, exitFailure, "message 1: ")
	})
}

func TestPerfOfALiveBusGoesOnUntilInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		perf := start(ctx, nil, "perf", "--id", "7E0:7E8", "virtual:sendrecv")
		recv := start(t.Context(), nil, "recv", "--hex", "--count", "1", ecuAddr)
		isotp(t.Context(), strings.NewReader(randomBytes(50)), "send", testerAddr).want(t, exitOK, "")
		recv().want(t, exitOK, "")
		synctest.Wait()
		cancel()
		r := perf()
		r.want(t, exitOK, "")
		if !strings.Contains(r.stdout, "7E0: 1 message, 50 bytes\n") {
			t.Errorf("it says\n%s", r.stdout)
		}
	})
}

func TestPerfOfNoMessages(t *testing.T) {
	r := isotp(t.Context(), strings.NewReader("(1.0) can0 123#01\n"), "perf", "-")
	r.want(t, exitOK, "")
	if !strings.Contains(r.stderr, "standard input has no ISO-TP messages, of 1 frame; --id names pairs") {
		t.Errorf("it says %q", r.stderr)
	}
}

func TestPerfFlagsThatMakeNoSense(t *testing.T) {
	for flags, text := range map[string]string{
		"--bitrate -1 x":                        "--bitrate -1: it must be above 0",
		"--data-bitrate -1 x":                   "--data-bitrate -1: it must be above 0",
		"--self virtual:a/7E0:7E8 x":            "--self names the bus",
		"--self virtual:a/7E0:7E8 --id 7E0:7E8": "--self and --id can't be used together",
		"--size 5 x":                            "are for --self",
		"--self virtual:a/7DF:":                 "messages go from one side to the other",
		"--self virtual:a/7E0:7E8 --count -1":   "--count -1: it must be above 0",
		"--self virtual:a/7E0:7E8 --count 0":    "--count 0: it must be above 0",
		"--self virtual:a/7E0:7E8 --gap -1s":    "--gap -1s: it must be above 0",
		"--self virtual:a":                      "no slash",
	} {
		isotp(t.Context(), nil, append([]string{"perf"}, words(flags)...)...).want(t, exitUsage, text)
	}
}
