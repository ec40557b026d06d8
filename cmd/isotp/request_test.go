package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/isotpnet"
)

const (
	requestAddr = "virtual:request/7E0:7E8"
	answerAddr  = "virtual:request/7E8:7E0"
)

// An answering sends an answer, in hexadecimal digits, after a while; none if it is "".
type answering struct {
	after  time.Duration
	answer string
}

// serve is an ECU in the test's bubble, which has answers to some requests. It returns how
// often it has heard each.
func serve(t *testing.T, address string, answers map[string][]answering) (heard func(request string) int) {
	ln, err := isotpnet.Listen("isotp", address)
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]int)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		context.AfterFunc(t.Context(), func() { c.Close() })
		buf := make([]byte, 4095)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			request := fmt.Sprintf("%X", buf[:n])
			counts[request]++
			for _, a := range answers[request] {
				sleep(t.Context(), a.after)
				p, _ := hex.DecodeString(a.answer)
				c.Write(p)
			}
		}
	}()
	context.AfterFunc(t.Context(), func() { ln.Close() })
	return func(request string) int {
		synctest.Wait()
		return counts[request]
	}
}

// request runs the command against an ECU with those answers.
func request(t *testing.T, stdin io.Reader, answers map[string][]answering, args ...string) result {
	serve(t, answerAddr, answers)
	return isotp(t.Context(), stdin, append([]string{"request", requestAddr}, args...)...)
}

// withNames has no padding between its columns.
func withNames(stdout string) string {
	var lines []string
	for l := range strings.Lines(stdout) {
		lines = append(lines, strings.Join(words(l), " "))
	}
	return strings.Join(lines, "|")
}

func TestRequestsExitStatusIsTheAnswers(t *testing.T) {
	const pending = "7F2278"
	for _, tc := range []struct {
		name, args string
		answers    []answering
		status     int
		stdout     string
		stderr     string // part of the last line
	}{
		{"positive", "22F190", []answering{{0, "62F19041424344"}}, exitOK,
			`7E0:7E8 0s 62 F1 90 41 42 43 44 "ABCD" ReadDataByIdentifier`, ""},
		{"negative", "22F190", []answering{{0, "7F2231"}}, exitNegative,
			"7E0:7E8 0s 7F 22 31 ReadDataByIdentifier: requestOutOfRange", "request 22 F1 90: negative response 31, requestOutOfRange"},
		{"none", "22F190", nil, exitTimeout,
			"", "request 22 F1 90: no answer within 150ms"},
		{"just in time", "22F190", []answering{{149 * time.Millisecond, "62F190"}}, exitOK,
			"7E0:7E8 149ms 62 F1 90 ReadDataByIdentifier", ""},
		{"too late", "22F190", []answering{{151 * time.Millisecond, "62F190"}}, exitTimeout,
			"", "no answer within 150ms"},
		{"too late for P2", "--p2 10ms --delta-p2 0 22F190", []answering{{11 * time.Millisecond, "62F190"}}, exitTimeout,
			"", "no answer within 10ms"},
		{"pending, several times", "22F190", []answering{{0, pending}, {5 * time.Second, pending}, {5 * time.Second, "62F190"}}, exitOK,
			"7E0:7E8 10s 62 F1 90 ReadDataByIdentifier", "pending: 7E0:7E8           5s  7F 22 78  ReadDataByIdentifier: requestCorrectlyReceived-ResponsePending"},
		{"pending, and then refused", "22F190", []answering{{0, pending}, {time.Second, "7F2210"}}, exitNegative,
			"7E0:7E8 1s 7F 22 10 ReadDataByIdentifier: generalReject", "negative response 10, generalReject"},
		{"pending, and then nothing", "22F190", []answering{{0, pending}}, exitTimeout,
			"", "no answer in time from 7E0:7E8, which has said 1 time that its answer is pending"},
		{"pending for longer than P2*", "--p2-star 1s 22F190", []answering{{0, pending}, {1101 * time.Millisecond, "62F190"}}, exitTimeout,
			"", "no answer in time from 7E0:7E8"},
		{"pending for ever", "--timeout 10s 22F190", repeat(answering{time.Second, pending}, 100, answering{50 * time.Millisecond, pending}), exitTimeout,
			"", "from 7E0:7E8, which has said 10 times"},
		{"another service", "22F190", []answering{{0, "6EF190"}, {0, "7F1011"}, {0, "62F190"}}, exitOK,
			"7E0:7E8 0s 62 F1 90 ReadDataByIdentifier", "other: 7E0:7E8           0s  7F 10 11  DiagnosticSessionControl: serviceNotSupported"},
		{"only another service", "22F190", []answering{{0, "6EF190"}}, exitTimeout,
			"", "no answer within 150ms"},
		{"anything", "--any 22F190", []answering{{0, "AFFE"}}, exitOK,
			"7E0:7E8 0s AF FE", ""},
		{"none is wanted", "1083", nil, exitOK,
			"", "request 10 83: no answer, as it asks for none"},
		{"none is wanted, but it is refused", "1083", []answering{{0, "7F1022"}}, exitNegative,
			"7E0:7E8 0s 7F 10 22 DiagnosticSessionControl: conditionsNotCorrect", "negative response 22"},
		{"raw", "--raw 22F190", []answering{{0, "6EF190"}, {0, "62F19041424344"}}, exitOK,
			"62F19041424344", "other: "},
		{"raw and refused", "--raw 22F190", []answering{{0, "7F2231"}}, exitNegative,
			"7F2231", "negative response 31"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				args := words(tc.args)
				answers := map[string][]answering{args[len(args)-1]: tc.answers}
				r := request(t, nil, answers, args...)
				r.want(t, tc.status, tc.stderr)
				if withNames(r.stdout) != tc.stdout || !strings.Contains(r.stderr, tc.stderr) {
					t.Errorf("it says\n%s\n%s", r.stdout, r.stderr)
				}
			})
		})
	}
}

// repeat is a number of answers after a first one.
func repeat(a answering, n int, first answering) []answering {
	list := []answering{first}
	for range n {
		list = append(list, a)
	}
	return list
}

func TestRequestsOfOneSession(t *testing.T) {
	answers := map[string][]answering{"1003": {{0, "5003003201F4"}}, "22F190": {{0, "62F190"}}, "22F191": {{0, "7F2231"}}}
	for _, tc := range []struct {
		name, args, stdin string
		status            int
		stdout, stderr    string
	}{
		{"arguments", "--raw 10.03 0x22,0xF1,0x90", "", exitOK, "5003003201F4|62F190", ""},
		{"lines", "--raw", "10 03 # extended\n\n22F190", exitOK, "5003003201F4|62F190", ""},
		{"the first error decides", "--raw 1003 22F191 22F192", "", exitNegative, "5003003201F4|7F2231",
			"2 of 3 requests have failed; the first: request 22 F1 91: negative response 31"},
		{"none is there to be told", "--raw 22F192 22F190 22F191", "", exitTimeout, "62F190|7F2231",
			"2 of 3 requests have failed; the first: request 22 F1 92: no answer within 150ms"},
		{"to the first error", "--raw --stop 1003 22F191 22F190", "", exitNegative, "5003003201F4|7F2231", "negative response 31"},
		{"a line that is no request", "--raw", "1003\n22F1G0\n22F190\n", exitFailure, "5003003201F4|62F190",
			`1 of 3 requests have failed; the first: line 2 of standard input: "22F1G0" is not bytes`},
		{"nothing", "", "", exitOK, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := request(t, strings.NewReader(tc.stdin), answers, words(tc.args)...)
				r.want(t, tc.status, tc.stderr)
				if got := withNames(r.stdout); got != tc.stdout {
					t.Errorf("it prints %q, want %q\n%s", got, tc.stdout, r.stderr)
				}
			})
		})
	}
}

// The late answer to the first request comes when the second was sent.
func TestLateAnswersAreNotTheNextOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := map[string][]answering{
			"22F190": {{200 * time.Millisecond, "62F190AA"}},
			"22F18C": {{50 * time.Millisecond, "62F18CBB"}},
		}
		r := request(t, nil, answers, "--raw", "22F190", "22F18C")
		r.want(t, exitTimeout, "1 of 2 requests")
		if r.stdout != "62F18CBB\n" || !strings.Contains(r.stderr, "other: 7E0:7E8         50ms  62 F1 90 AA") {
			t.Errorf("it says\n%s%s", r.stdout, r.stderr)
		}
	})
}

// The late answer is there before the same request is sent again.
func TestLateAnswersAreDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		serve(t, answerAddr, map[string][]answering{"22F190": {{0, "62F190AA"}, {time.Millisecond, "62F190AA"}}})
		in, out := io.Pipe()
		wait := start(t.Context(), in, "request", "--raw", requestAddr)
		for range 2 {
			io.WriteString(out, "22F190\n")
			time.Sleep(time.Second)
		}
		out.Close()
		r := wait()
		r.want(t, exitOK, "")
		if r.stdout != "62F190AA\n62F190AA\n" || r.stderr != "thrown away, as late for an earlier request: 1 message\n" {
			t.Errorf("it says\n%s%s", r.stdout, r.stderr)
		}
	})
}

func TestTheSessionsTimesAreTheECUs(t *testing.T) {
	answers := map[string][]answering{
		"1002":   {{0, "500202BC0046"}}, // both are 700 ms
		"22F190": {{799 * time.Millisecond, "62F190"}},
		"22F191": {{0, "7F2278"}, {801 * time.Millisecond, "62F191"}},
	}
	for flags, want := range map[string]string{
		"--raw":              "500202BC0046|62F190",
		"--raw --p2-star 1s": "500202BC0046|62F190|62F191",
		"--raw --p2 10ms":    "500202BC0046",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := request(t, nil, answers, append(words(flags), "--stop", "1002", "22F190", "22F191")...)
			if got := withNames(r.stdout); got != want {
				t.Errorf("%s: %q, want %q; %s", flags, got, want, r.stderr)
			}
		})
	}
}

func TestTesterPresentIsSentBesideTheRequests(t *testing.T) {
	for flags, want := range map[string]int{"": 0, "--tester-present": 4, "--tester-present --s3 1s": 9} {
		synctest.Test(t, func(t *testing.T) {
			heard := serve(t, answerAddr, map[string][]answering{"22F190": {{0, "62F190"}}})
			in, out := io.Pipe()
			wait := start(t.Context(), in, append([]string{"request", requestAddr, "--raw"}, words(flags)...)...)
			time.Sleep(9500 * time.Millisecond)
			io.WriteString(out, "22F190\n")
			out.Close()
			wait().wantStdout(t, "62F190\n")
			if got := heard("3E80"); got != want {
				t.Errorf("%q: sent %d times, want %d", flags, got, want)
			}
		})
	}
}

func TestTesterPresentGoesOnWhileAnAnswerIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := isotpnet.Dial("isotp", answerAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		wait := start(t.Context(), nil, "request", "--raw", "--tester-present", requestAddr, "3101FF00")
		buf, heard := make([]byte, 10), 0
		for heard < 5 {
			n, err := c.Read(buf)
			switch {
			case err != nil:
				t.Fatal(err)
			case bytes.Equal(buf[:n], []byte{0x3E, 0x80}):
				heard++
			}
			c.Write([]byte{0x7F, 0x31, 0x78})
		}
		c.Write([]byte{0x71, 0x01, 0xFF, 0x00})
		wait().wantStdout(t, "7101FF00\n")
	})
}

func TestFunctionalRequestsGatherAllAnswers(t *testing.T) {
	silence := []answering{}
	for _, tc := range []struct {
		name, request  string
		one, two       []answering
		status         int
		stdout, stderr string
	}{
		{"both", "3E00", []answering{{0, "7E00"}}, []answering{{time.Millisecond, "7E00"}}, exitOK,
			"7E0:7E8 0s 7E 00 TesterPresent|7E1:7E9 1ms 7E 00 TesterPresent", ""},
		{"one refuses", "3E00", []answering{{0, "7F3E22"}}, []answering{{time.Millisecond, "7E00"}}, exitOK,
			"7E0:7E8 0s 7F 3E 22 TesterPresent: conditionsNotCorrect|7E1:7E9 1ms 7E 00 TesterPresent", ""},
		{"one alone, which refuses", "3E00", []answering{{0, "7F3E22"}}, silence, exitNegative,
			"7E0:7E8 0s 7F 3E 22 TesterPresent: conditionsNotCorrect", "negative response 22"},
		{"none", "3E00", silence, silence, exitTimeout, "", "no answer within 150ms"},
		{"none is wanted", "3E80", silence, silence, exitOK, "", "as it asks for none"},
		{"one takes its time", "3E00", []answering{{0, "7E00"}}, []answering{{0, "7F3E78"}, {4 * time.Second, "7E00"}}, exitOK,
			"7E0:7E8 0s 7E 00 TesterPresent|7E1:7E9 4s 7E 00 TesterPresent", "pending: 7E1:7E9"},
		{"one promises an answer", "3E00", []answering{{0, "7E00"}}, []answering{{0, "7F3E78"}}, exitTimeout,
			"7E0:7E8 0s 7E 00 TesterPresent", "no answer in time from 7E1:7E9, which has said 1 time"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				serve(t, "virtual:request/7E8:7E0,7DF", map[string][]answering{tc.request: tc.one})
				serve(t, "virtual:request/7E9:7E1,7DF", map[string][]answering{tc.request: tc.two})
				for _, address := range []string{"virtual:request/obd", "virtual:request/7E0:7E8,7E1:7E9 --functional 7DF:"} {
					r := isotp(t.Context(), nil, append(append([]string{"request"}, words(address)...), tc.request)...)
					r.want(t, tc.status, tc.stderr)
					if withNames(r.stdout) != tc.stdout || !strings.Contains(r.stderr, tc.stderr) {
						t.Errorf("%s: it says\n%s%s", address, r.stdout, r.stderr)
					}
				}
			})
		})
	}
}

func TestRequestsLinesOfJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := map[string][]answering{
			"22F190": {{0, "7F2278"}, {500 * time.Millisecond, "62F190AA"}},
			"22F191": {{0, "AFFE"}, {0, "7F2231"}},
		}
		r := request(t, nil, answers, "--json", "22F190", "22F191", "22F192", "1083")
		r.want(t, exitNegative, "2 of 4 requests")
		var got []string
		for line := range strings.Lines(r.stdout) {
			var l resultLine
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s %s %s %s %v %s %s", l.Request, l.Result, l.ECU, l.Answer, l.Seconds, l.Name, l.Error))
		}
		const want = `22F190 pending 7E0:7E8 7F2278 0 ReadDataByIdentifier: requestCorrectlyReceived-ResponsePending 
22F190 positive 7E0:7E8 62F190AA 0.5 ReadDataByIdentifier 
22F191 other 7E0:7E8 AFFE 0  
22F191 negative 7E0:7E8 7F2231 0 ReadDataByIdentifier: requestOutOfRange 
22F192 none   0.15  no answer within 150ms
1083 none   0.15  `
		if text := strings.Join(got, "\n"); text != want {
			t.Errorf("it prints\n%s\nwant\n%s", text, want)
		}
	})
}

func TestRequestIsInterrupted(t *testing.T) {
	for _, args := range []string{"", "22F190"} { // waits for input, waits for an answer
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			in, out := io.Pipe()
			defer out.Close()
			wait := start(ctx, in, append([]string{"request", "--tester-present", requestAddr}, words(args)...)...)
			cancel()
			wait().want(t, exitFailure, "interrupted")
		})
	}
}

func TestRequestsSimulateTheirECU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, address := range []string{requestAddr, "virtual:request/fixed:10:F1", "virtual:request/obd"} {
			r := isotp(t.Context(), nil, "request", "--simulate", "1", "--raw", address, "3E00")
			r.want(t, exitOK, "")
			r.wantStdout(t, "7E00\n")
		}
	})
}

func TestRequestThatCannotBePrinted(t *testing.T) {
	for _, flags := range []string{"", "--raw", "--json"} {
		synctest.Test(t, func(t *testing.T) {
			serve(t, answerAddr, map[string][]answering{"3E00": {{0, "7E00"}}})
			var stderr strings.Builder
			status := run(t.Context(), append([]string{"request", requestAddr, "3E00", "3E00"}, words(flags)...), nil, brokenWriter{}, &stderr)
			result{status: status, stderr: stderr.String()}.want(t, exitFailure, "broken")
		})
	}
}

func TestRequestWithoutFlowControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := isotp(t.Context(), nil, "request", requestAddr, "2EF190"+strings.Repeat("41", 17))
		r.want(t, exitTimeout, "request 2E F1 90 41 41 41 41 41 ... (20 bytes): ")
	})
}
