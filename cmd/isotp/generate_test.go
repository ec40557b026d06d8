package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCountedMessages(t *testing.T) {
	g := newGenerator(generateCount, sizeRange{1, 6}, 0)
	g.number = 0x01FE
	for _, want := range []string{"\xFE", "\x01\xFF", "\x00\x02\x00", "\x00\x00\x02\x01", "\x00\x00\x02\x02\x06", "\x00\x00\x02\x03\x07\x08", "\x04"} {
		g.size = sizeRange{int64(len(want)), int64(len(want))}
		if got := g.next(); string(got) != want {
			t.Errorf("message % X, want % X", got, want)
		}
	}
}

func TestGeneratedSizesGoThroughTheRange(t *testing.T) {
	for _, kind := range []generateKind{generateRandom, generateCount} {
		g := newGenerator(kind, sizeRange{3, 5}, 1)
		sizes := map[int]int{}
		for range 300 {
			sizes[len(g.next())]++
		}
		if len(sizes) != 3 || sizes[3] < 50 || sizes[4] < 50 || sizes[5] < 50 {
			t.Errorf("%s: sizes %v, want 3, 4 and 5 about as often", kind, sizes)
		}
	}
}

func TestASeedMakesTheSameMessages(t *testing.T) {
	messages := func(seed uint64) string {
		var b bytes.Buffer
		for g := newGenerator(generateRandom, sizeRange{1, 4095}, seed); b.Len() < 10000; {
			b.Write(g.next())
		}
		return b.String()
	}
	if first := messages(7); messages(7) != first || messages(8) == first {
		t.Error("the messages do not go by the seed")
	}
}

func TestCountCheckerFindsWhatIsWrong(t *testing.T) {
	counted := func(number uint32, size int) []byte {
		p := make([]byte, size)
		fillCounted(p, number)
		return p
	}
	changed := counted(1, 10)
	changed[7]++
	for name, c := range map[string]struct {
		messages [][]byte
		text     string // of the last
		sum      countChecker
	}{
		"as made":             {[][]byte{counted(0, 10), counted(1, 1), counted(2, 4095)}, "", countChecker{}},
		"missing":             {[][]byte{counted(0, 10), counted(3, 10)}, "message 2 has the number 3, and 1 was due: 2 messages are missing", countChecker{lost: 2}},
		"missing, one byte":   {[][]byte{counted(0, 1), counted(2, 1)}, "1 message is missing", countChecker{lost: 1}},
		"twice":               {[][]byte{counted(0, 10), counted(0, 10)}, "came twice", countChecker{misplaced: 1}},
		"twice, one byte":     {[][]byte{counted(0, 10), counted(0, 1)}, "message 2 has the number 0", countChecker{misplaced: 1}},
		"changed":             {[][]byte{counted(0, 10), changed}, "message 2 (10 bytes) is not as it was made: byte 7 is 09, want 08", countChecker{changed: 1}},
		"one byte, wraps":     {[][]byte{counted(0, 4), counted(200, 4), counted(201, 1), counted(300, 1)}, "98 messages are missing", countChecker{lost: 199 + 98}},
		"goes on after twice": {[][]byte{counted(0, 4), counted(0, 4), counted(1, 4)}, "", countChecker{misplaced: 1}},
		"number of two bytes": {[][]byte{counted(0, 2), counted(256, 2)}, "255 messages are missing", countChecker{lost: 255}},
		"an empty message":    {[][]byte{{}}, "", countChecker{}},
	} {
		var checker countChecker
		var err error
		for _, p := range c.messages {
			err = checker.check(p)
		}
		if (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %q", name, err, c.text)
		}
		if checker.lost != c.sum.lost || checker.changed != c.sum.changed || checker.misplaced != c.sum.misplaced {
			t.Errorf("%s: in all %v", name, checker.failed())
		}
		if ok := c.sum.lost+c.sum.changed+c.sum.misplaced == 0; ok != (checker.failed() == nil) {
			t.Errorf("%s: failed says %v", name, checker.failed())
		}
	}
}

func TestRecvChecksGeneratedMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--check", "--count", "300", ecuAddr)
		isotp(t.Context(), nil, "send", "--generate", "count", "--size", "1-50", "--count", "300", testerAddr).want(t, exitOK, "")
		r := recv()
		r.want(t, exitOK, "")
		r.wantStdout(t, "")
	})
}

func TestRecvCheckRefusesOtherMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--check", "--count", "2", ecuAddr)
		isotp(t.Context(), nil, "send", "--generate", "random", "--seed", "1", "--size", "9", "--count", "2", testerAddr).want(t, exitOK, "")
		r := recv()
		r.want(t, exitFailure, "of 2 counted messages with 18 bytes, 2 changed")
		if !strings.Contains(r.stderr, "message 1 (9 bytes) is not as it was made") {
			t.Errorf("it says %s", r.stderr)
		}
	})
}

func TestGapIsBetweenMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--check", "--count", "3", ecuAddr)
		begin := time.Now()
		isotp(t.Context(), nil, "send", "--generate", "count", "--size", "4", "--count", "3", "--gap", "100ms", testerAddr).want(t, exitOK, "")
		if d := time.Since(begin); d != 200*time.Millisecond {
			t.Errorf("3 messages took %v, want two gaps", d)
		}
		recv().want(t, exitOK, "")
	})
}

func TestGenerateTellsItsSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--hex", "--count", "2", ecuAddr)
		r := isotp(t.Context(), nil, "send", "--generate", "random", "--size", "20", "--count", "1", testerAddr)
		r.want(t, exitOK, "")
		seed, told := strings.CutPrefix(r.stderr, "seed ")
		if !told {
			t.Fatalf("standard error %q, want the seed", r.stderr)
		}
		isotp(t.Context(), nil, "send", "--generate", "random", "--seed", strings.TrimSpace(seed), "--size", "20", "--count", "1", testerAddr).want(t, exitOK, "")
		if lines := words(recv().stdout); lines[0] != lines[1] {
			t.Errorf("the messages of one seed are %v", lines)
		}
	})
}

func TestGenerateWithoutACountGoesOnUntilInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		send := start(ctx, nil, "send", "--generate", "count", "--size", "4", "--gap", "1s", testerAddr)
		cancel()
		send().want(t, exitOK, "")
	})
}

func TestGenerateFlagsThatMakeNoSense(t *testing.T) {
	for flags, text := range map[string]string{
		"--generate count --size 0":   `"0" is not a size from 1 to 4294967295 bytes, as 100, nor a range of them`,
		"--generate count --size 5-4": `"5-4" is not a size`,
		"--generate count --size 1-":  `"1-" is not a size`,
		"--size 1-5":                  "--size 1-5: a range needs --generate",
		"--size 5 --hex":              "--size can't be used together with --hex",
		"--count 5":                   "--count 5: it needs --generate",
		"--generate count --count -1": "--count -1: it must be above 0",
		"--generate count --seed 1":   "--seed 1: it needs --generate random",
		"--generate twice":            `--generate: "twice" is neither random nor count`,
		"--generate count --hex":      "can't be used together",
		"--generate count --gap -1s":  "--gap -1s: it must be above 0",
		"--single --gap 1s":           "--gap 1s: it is the time between messages, and there is one only",
		"--generate count --size 9 --count 1 --functional 7DF:": "",
	} {
		r := isotp(t.Context(), nil, append([]string{"send", testerAddr}, words(flags)...)...)
		if text == "" {
			r.want(t, exitFailure, "message 1: ")
			continue
		}
		r.want(t, exitUsage, text)
	}
}
