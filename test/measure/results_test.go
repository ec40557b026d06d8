package main

import (
	"strings"
	"testing"
)

func resultsOf(outputs ...string) results {
	r := results{}
	for _, out := range outputs {
		r.add(out)
	}
	return r
}

func TestLinesOfBenchmarksAreRead(t *testing.T) {
	r := resultsOf(`goos: linux
cpu: a processor with 2 cores
BenchmarkA/x-2         	 100	  12.50 ns/op	   1e+03 B/op
--- BENCH: BenchmarkA/x-2
    bench_test.go:1: 9 ns/op 1 2
BenchmarkB             	   1	   3 cpu-ns/frame
BenchmarkB
PASS
`, "BenchmarkB 1 5 cpu-ns/frame")
	if len(r) != 2 || len(r["BenchmarkA/x-2"]) != 2 {
		t.Error(r)
	}
	for _, want := range []struct {
		name, unit string
		median     float64
	}{{"BenchmarkA/x-2", "ns/op", 12.5}, {"BenchmarkA/x-2", "B/op", 1000}, {"BenchmarkB", "cpu-ns/frame", 4}} {
		if got, ok := r.median(want.name, want.unit); !ok || got != want.median {
			t.Errorf("%s: %v %s, want %v", want.name, got, want.unit, want.median)
		}
	}
}

func TestWhatIsNoResultIsLeftOut(t *testing.T) {
	for _, line := range []string{"Benchmarks are good", "BenchmarkA 1 2", "BenchmarkA 1 x ns/op", "ok m 1 s"} {
		if r := resultsOf(line); len(r) > 0 {
			t.Errorf("%q: %v", line, r)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		out  string
		want float64
		ok   bool
	}{
		{"", 0, false},
		{"BenchmarkA 1 7 ns/op", 7, true},
		{"BenchmarkA 1 9 ns/op\nBenchmarkA 1 1 ns/op\nBenchmarkA 1 2 ns/op", 2, true},
		{"BenchmarkA 1 9 ns/op\nBenchmarkA 1 1 ns/op\nBenchmarkA 1 2 ns/op\nBenchmarkA 1 3 ns/op", 2.5, true},
	} {
		if got, ok := resultsOf(c.out).median("BenchmarkA", "ns/op"); got != c.want || ok != c.ok {
			t.Errorf("%q: %v, %v, want %v, %v", c.out, got, ok, c.want, c.ok)
		}
	}
}

func TestPatternIsOfOneBenchmark(t *testing.T) {
	if got, want := pattern("BenchmarkRead/read(2)/x=1"), `^BenchmarkRead$/^read\(2\)$/^x=1$`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestProfilesHaveFlatNames(t *testing.T) {
	if got, want := profileName("BenchmarkMessage/Pipe/FD/BS=8"), "Message_Pipe_FD_BS=8.pprof"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTable(t *testing.T) {
	r := resultsOf("BenchmarkA 1 1500 ns/op", "BenchmarkB 1 1000 ns/op", "BenchmarkZero 1 0 ns/op")
	rows := []row{
		{"a", []cell{value("BenchmarkA", "ns/op", nanoseconds), ratio("BenchmarkA", "BenchmarkB", "ns/op")}},
		{"nothing", []cell{value("BenchmarkA", "B/op", bytes), ratio("BenchmarkA", "BenchmarkC", "ns/op")}},
		{"by zero", []cell{value("BenchmarkZero", "ns/op", nanoseconds), ratio("BenchmarkA", "BenchmarkZero", "ns/op")}},
	}
	want := strings.TrimLeft(`
| of | time | beside B |
|---|---|---|
| a | 1.50 us | 1.50 |
| nothing | - | - |
| by zero | 0.00 ns | - |
`, "\n")
	if got := table(r, []string{"of", "time", "beside B"}, rows); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTimesHaveThreeDigits(t *testing.T) {
	for ns, want := range map[float64]string{
		0.5: "0.50 ns", 9.994: "9.99 ns", 9.996: "10.0 ns", 51.24: "51.2 ns", 99.96: "100 ns", 999.4: "999 ns",
		999.6: "1.00 us", 2034: "2.03 us", 1.5e6: "1.50 ms", 4e9: "4.00 s", 4e12: "4000 s",
	} {
		if got := nanoseconds(ns); got != want {
			t.Errorf("%v: %s, want %s", ns, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[float64]string{0: "0 B", 999: "999 B", 1848: "1.85 kB", 120064: "120 kB"} {
		if got := bytes(n); got != want {
			t.Errorf("%v: %s, want %s", n, got, want)
		}
	}
}
