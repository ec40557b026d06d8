package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestProgressIsALineForEachTenth(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&streams{stderr: &b}, 2000)
	for range 100 {
		p.Write(make([]byte, 20))
	}
	p.end()
	const want = ` 10 %  200 B of 2.0 kB
 20 %  400 B of 2.0 kB
 30 %  600 B of 2.0 kB
 40 %  800 B of 2.0 kB
 50 %  1.0 kB of 2.0 kB
 60 %  1.2 kB of 2.0 kB
 70 %  1.4 kB of 2.0 kB
 80 %  1.6 kB of 2.0 kB
 90 %  1.8 kB of 2.0 kB
100 %  2.0 kB of 2.0 kB
`
	if b.String() != want {
		t.Errorf("progress:\n%swant\n%s", b.String(), want)
	}
}

func TestProgressOnATerminalIsABar(t *testing.T) {
	for _, done := range []int{500, 1000} {
		var b bytes.Buffer
		p := newProgress(&streams{stderr: &b, terminal: true}, 1000)
		p.Write(make([]byte, done))
		p.end()
		if s := b.String(); !strings.Contains(s, "█") || strings.Count(s, "\n") != 1 || !strings.HasSuffix(s, "\n") {
			t.Errorf("after %d of 1000 bytes: %q, want a bar and the end of its line", done, s)
		}
	}
}
