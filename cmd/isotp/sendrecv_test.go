package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The two ends of a pair on a bus, each as it dials. The bus is a test's own: it
// goes with its last user.
const (
	testerAddr = "virtual:sendrecv/7E0:7E8"
	ecuAddr    = "virtual:sendrecv/7E8:7E0"
)

// start runs the program beside the test, in its bubble, and returns once it
// waits for something.
func start(ctx context.Context, stdin io.Reader, args ...string) (wait func() result) {
	done := make(chan result, 1)
	go func() { done <- isotp(ctx, stdin, args...) }()
	synctest.Wait()
	return func() result { return <-done }
}

func words(s string) []string { return strings.Fields(s) }

func randomBytes(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{})
	r.Read(b)
	return string(b)
}

func TestHexLinesAreMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--hex", "--count", "3", ecuAddr)
		input := "22 F1 90\r\n\n3e00\n" + strings.Repeat("0102030405", 20) // no end of line
		isotp(t.Context(), strings.NewReader(input), "send", "--hex", testerAddr).want(t, exitOK, "")
		r := recv()
		r.want(t, exitOK, "")
		r.wantStdout(t, "22F190\n3E00\n"+strings.Repeat("0102030405", 20)+"\n")
		if r.stderr != "" {
			t.Errorf("standard error: %s", r.stderr)
		}
	})
}

func TestHexAsItIsPasted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--hex", "--count", "4", ecuAddr)
		input := "0x22, 0xF1, 0x90\n# a comment\n22:F1:90 # the VIN\n22.F1.90\n22,F1,90\n"
		isotp(t.Context(), strings.NewReader(input), "send", "--hex", testerAddr).want(t, exitOK, "")
		recv().wantStdout(t, strings.Repeat("22F190\n", 4))
	})
}

func TestTextThatLooksLikeHexIsSentWithAWarning(t *testing.T) {
	for _, c := range []struct {
		flags, input string
		warns        bool
	}{
		{"", "22 F1 90\n", true},
		{"--single", "22F190", true},
		{"", strings.Repeat("22 F1 90\n", 500), true}, // two messages
		{"--hex", "22 F1 90\n", false},
		{"", "22 F1 9\n", false},
		{"", "22 F1 90 G\n", false},
		{"", "\x22\xF1\x90", false},
		{"", "", false},
		{"", "\n", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			recv := start(t.Context(), nil, "recv", "--timeout", "1s", ecuAddr)
			r := isotp(t.Context(), strings.NewReader(c.input), append([]string{"send", testerAddr}, words(c.flags)...)...)
			r.want(t, exitOK, "")
			if got := strings.Count(r.stderr, "looks like bytes in hexadecimal"); got > 1 || (got == 1) != c.warns {
				t.Errorf("%s %.20q: it says %q, want a warning %v", c.flags, c.input, r.stderr, c.warns)
			}
			if r := recv(); c.flags != "--hex" && r.stdout != c.input {
				t.Errorf("%s %.20q: received %.20q", c.flags, c.input, r.stdout)
			}
		})
	}
}

func TestLongTextIsNotLookedAt(t *testing.T) {
	var guess hexGuess
	for range 10_000 {
		guess.add([]byte("22 F1 90\n"))
	}
	if guess.isHex() || guess.text != nil {
		t.Errorf("%d bytes are kept", len(guess.text))
	}
}

func TestStreamThatLooksLikeHexIsSentWithAWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--stream", ecuAddr)
		r := isotp(t.Context(), strings.NewReader("3E00"), "send", "--stream", testerAddr)
		r.want(t, exitOK, "")
		recv().wantStdout(t, "3E00")
		if !strings.Contains(r.stderr, "--hex") {
			t.Errorf("it says %q", r.stderr)
		}
	})
}

func TestRawInputIsCutIntoMessages(t *testing.T) {
	for _, c := range []struct {
		flags string
		size  int
		count int
	}{
		{"", 10000, 3}, // 4095 bytes each
		{"", 8190, 2},
		{"--message-size 1000", 2500, 3},
		{"--max-send-size 500", 1000, 2},
		{"--message-size 1", 3, 3},
		{"--message-size 5000 --fd", 12000, 3},
	} {
		t.Run(c.flags, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				recv := start(t.Context(), nil, "recv", "--count", fmt.Sprint(c.count), ecuAddr)
				// Reads of a pipe are short: messages must be cut all the same.
				input := randomBytes(c.size)
				send := append([]string{"send", testerAddr}, words(c.flags)...)
				isotp(t.Context(), &slowReader{strings.NewReader(input)}, send...).want(t, exitOK, "")
				r := recv()
				r.want(t, exitOK, "")
				r.wantStdout(t, input)
			})
		})
	}
}

// A slowReader gives a few bytes at a time.
type slowReader struct{ r io.Reader }

func (s *slowReader) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), 77)]) }

func TestSingleIsOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--count", "1", ecuAddr)
		input := randomBytes(60000)
		isotp(t.Context(), strings.NewReader(input), "send", "--single", testerAddr).want(t, exitOK, "")
		r := recv()
		r.want(t, exitOK, "")
		r.wantStdout(t, input)
	})
}

func TestSizeStreamsOneLongMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--long", "--count", "1", "--fd", ecuAddr)
		input := randomBytes(300000)
		isotp(t.Context(), strings.NewReader(input+"left over"), "send", "--size", "300000", "--fd", testerAddr).want(t, exitOK, "")
		r := recv()
		r.want(t, exitOK, "")
		r.wantStdout(t, input)
	})
}

func TestFunctionalIsSentToTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		physical := start(t.Context(), nil, "recv", "--hex", "--count", "1", ecuAddr)
		group := start(t.Context(), nil, "recv", "--hex", "--count", "1", "--listen-only", "virtual:sendrecv/:7DF")
		isotp(t.Context(), strings.NewReader("3E80"), "send", "--hex", "--functional", "7DF:", testerAddr).want(t, exitOK, "")
		group().wantStdout(t, "3E80\n")
		isotp(t.Context(), strings.NewReader("3E00"), "send", "--hex", testerAddr).want(t, exitOK, "")
		physical().wantStdout(t, "3E00\n")
	})
}

func TestFunctionalMessagesAreSingleFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := isotp(t.Context(), strings.NewReader("12345678"), "send", "--functional", "7DF:", testerAddr)
		r.want(t, exitFailure, "message too long: 8 bytes, at most 7")
	})
}

func TestTraceHasEveryFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--count", "1", "--trace", ecuAddr)
		send := isotp(t.Context(), strings.NewReader("abcdefghij"), "send", "--trace", testerAddr)
		send.want(t, exitOK, "")
		// The bubble's clock starts in 2000 and stands still meanwhile.
		const want = `(0946684800.000000) virtual:sendrecv 7E0#100A616263646566 T
(0946684800.000000) virtual:sendrecv 7E8#300000CCCCCCCCCC
(0946684800.000000) virtual:sendrecv 7E0#216768696ACCCCCC T
`
		if send.stderr != want {
			t.Errorf("the sender's trace:\n%swant\n%s", send.stderr, want)
		}
		const heard = `(0946684800.000000) virtual:sendrecv 7E0#100A616263646566
(0946684800.000000) virtual:sendrecv 7E8#300000CCCCCCCCCC T
(0946684800.000000) virtual:sendrecv 7E0#216768696ACCCCCC
`
		if r := recv(); r.stderr != heard {
			t.Errorf("the receiver's trace:\n%swant\n%s", r.stderr, heard)
		}
	})
}

func TestLogTellsAsMuchAsItsLevel(t *testing.T) {
	for _, c := range []struct {
		level       string
		sent, abort int
	}{
		{"off", 0, 0},
		{"warn", 0, 1},
		{"debug", 1, 1},
	} {
		t.Run(c.level, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := isotp(t.Context(), strings.NewReader("12345678"), "send", "--log", c.level, testerAddr)
				if r.status != exitTimeout {
					t.Errorf("exit status %d, want %d", r.status, exitTimeout)
				}
				sent, abort := strings.Count(r.stderr, "frame sent"), strings.Count(r.stderr, "level=WARN msg=\"isotp: send aborted\"")
				if sent != c.sent || abort != c.abort {
					t.Errorf("the log has %d frames and %d aborted messages, want %d and %d:\n%s", sent, abort, c.sent, c.abort, r.stderr)
				}
			})
		})
	}
}

func TestStatsAreOnStandardError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--count", "1", "--stats", "--stmin", "1ms", ecuAddr)
		send := isotp(t.Context(), strings.NewReader(randomBytes(100)), "send", "--stats", testerAddr)
		send.want(t, exitOK, "")
		const want = `frames     15 sent, 1 received
messages   1 sent, 0 received
bytes      100 sent, 0 received
waits      0 sent, 0 received
aborted    0 sends, 0 receptions
gaps       13, from 1ms to 1ms, mean 1ms
`
		if send.stderr != want {
			t.Errorf("the sender's statistics:\n%swant\n%s", send.stderr, want)
		}
		const heard = `frames     1 sent, 15 received
messages   0 sent, 1 received
bytes      0 sent, 100 received
waits      0 sent, 0 received
aborted    0 sends, 0 receptions
`
		if r := recv(); r.stderr != heard {
			t.Errorf("the receiver's statistics:\n%swant\n%s", r.stderr, heard)
		}
	})
}

func TestStatsComeAlsoWithAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := isotp(t.Context(), strings.NewReader("12345678"), "send", "--stats", testerAddr)
		r.want(t, exitTimeout, "N_TIMEOUT_Bs")
		if !strings.Contains(r.stderr, "aborted    1 sends") || !strings.Contains(r.stderr, "error      1 times N_TIMEOUT_Bs") {
			t.Errorf("standard error:\n%s", r.stderr)
		}
	})
}

func TestRecvTimesOutWhereNothingComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		r := isotp(t.Context(), nil, "recv", "--timeout", "300ms", ecuAddr)
		r.want(t, exitTimeout, "timeout")
		if d := time.Since(begin); d != 300*time.Millisecond {
			t.Errorf("it took %v", d)
		}
	})
}

func TestRecvTimeoutIsForEachMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--timeout", "1s", ecuAddr)
		in, out := io.Pipe()
		send := start(t.Context(), in, "send", "--message-size", "2", testerAddr)
		for _, message := range []string{"ab", "cd", "ef"} {
			time.Sleep(900 * time.Millisecond)
			io.WriteString(out, message)
		}
		out.Close()
		send().want(t, exitOK, "")
		r := recv()
		r.want(t, exitTimeout, "timeout")
		r.wantStdout(t, "abcdef")
	})
}

func TestSendTimesOutWhereNobodyAnswers(t *testing.T) {
	for _, c := range []struct {
		flags string
		text  string
		after time.Duration
	}{
		{"", "N_TIMEOUT_Bs", time.Second},
		{"--flow-control-timeout 200ms", "N_TIMEOUT_Bs", 200 * time.Millisecond},
		{"--timeout 50ms", "i/o timeout", 50 * time.Millisecond},
		{"--size 8", "N_TIMEOUT_Bs", time.Second},
	} {
		t.Run(c.flags, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				args := append([]string{"send", testerAddr}, words(c.flags)...)
				isotp(t.Context(), strings.NewReader("12345678"), args...).want(t, exitTimeout, c.text)
				if d := time.Since(begin); d != c.after {
					t.Errorf("it took %v, want %v", d, c.after)
				}
			})
		})
	}
}

func TestTimeoutEndsAlsoTheWaitForInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		defer out.Close()
		isotp(t.Context(), in, "send", "--size", "100", "--timeout", "2s", testerAddr).want(t, exitTimeout, "i/o timeout")
		in.Close()
	})
}

func TestAPeerThatRefusesIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		recv := start(ctx, nil, "recv", "--max-message-size", "100", ecuAddr)
		isotp(t.Context(), strings.NewReader(randomBytes(101)), "send", testerAddr).want(t, exitFailure, "N_BUFFER_OVFLW")
		cancel()
		r := recv()
		r.want(t, exitOK, "")
		r.wantStdout(t, "")
	})
}

func TestReportAbortedEndsRecv(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := start(t.Context(), nil, "recv", "--report-aborted", ecuAddr)
		// The source ends in the middle of the message, and the receiver waits for
		// the next Consecutive Frame.
		isotp(t.Context(), strings.NewReader(randomBytes(40000)), "send", "--size", "50000", testerAddr).want(t, exitFailure, "unexpected EOF")
		recv().want(t, exitTimeout, "N_TIMEOUT_Cr")
	})
}

func TestBadInputIsAFailure(t *testing.T) {
	for _, c := range []struct{ name, flags, input, text string }{
		{"no hex digit", "--hex", "22F190\n22 G0", "line 2 of standard input: "},
		{"half a byte", "--hex", "22F", "line 1 of standard input: "},
		{"nothing for one message", "--single", "", "standard input is empty"},
		{"less than the size", "--size 10", "short", "unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				args := append([]string{"send", testerAddr}, words(c.flags)...)
				isotp(t.Context(), strings.NewReader(c.input), args...).want(t, exitFailure, c.text)
			})
		})
	}
}

func TestNoInputIsNoMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, flags := range []string{"", "--hex"} {
			args := append([]string{"send", "--stats", testerAddr}, words(flags)...)
			r := isotp(t.Context(), strings.NewReader(""), args...)
			r.want(t, exitOK, "")
			if !strings.HasPrefix(r.stderr, "frames     0 sent") {
				t.Errorf("with %q: %s", flags, r.stderr)
			}
		}
	})
}

func TestFailingInputIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, flags := range []string{"", "--hex", "--single", "--size 10"} {
			args := append([]string{"send", testerAddr}, words(flags)...)
			isotp(t.Context(), brokenReader{}, args...).want(t, exitFailure, "broken")
		}
	})
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestFailingOutputIsAFailure(t *testing.T) {
	for _, flags := range []string{"", "--hex", "--long"} {
		t.Run(flags, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stderr strings.Builder
				status := make(chan int, 1)
				go func() {
					args := append([]string{"recv", ecuAddr}, words(flags)...)
					status <- run(t.Context(), args, nil, brokenWriter{}, &stderr)
				}()
				synctest.Wait()
				isotp(t.Context(), strings.NewReader("abc"), "send", testerAddr).want(t, exitOK, "")
				result{status: <-status, stderr: stderr.String()}.want(t, exitFailure, "broken")
			})
		})
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestAnInterruptIsTheEndOfRecv(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		recv := start(ctx, nil, "recv", ecuAddr)
		isotp(t.Context(), strings.NewReader("abc"), "send", testerAddr).want(t, exitOK, "")
		synctest.Wait()
		cancel()
		r := recv()
		r.want(t, exitOK, "")
		r.wantStdout(t, "abc")
	})
}

func TestAnInterruptBeforeTheCountIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		recv := start(ctx, nil, "recv", "--count", "2", ecuAddr)
		isotp(t.Context(), strings.NewReader("abc"), "send", testerAddr).want(t, exitOK, "")
		cancel()
		recv().want(t, exitFailure, "interrupted")
	})
}

func TestAnInterruptEndsSendThatWaitsForInput(t *testing.T) {
	for _, flags := range []string{"", "--hex", "--single", "--size 10"} {
		t.Run(flags, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				in, out := io.Pipe()
				send := start(ctx, in, append([]string{"send", testerAddr}, words(flags)...)...)
				cancel()
				send().want(t, exitFailure, "interrupted")
				out.Close()
			})
		})
	}
}

func TestAnInterruptEndsSendThatWaitsForThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		send := start(ctx, strings.NewReader(randomBytes(100)), "send", testerAddr)
		synctest.Wait() // for it to wait for the flow control
		began := time.Now()
		cancel()
		send().want(t, exitFailure, "interrupted")
		if d := time.Since(began); d != 0 {
			t.Errorf("it has ended %v after the interrupt", d)
		}
	})
}

func TestInterruptedBeforeItBegan(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	isotp(ctx, strings.NewReader(""), "send", testerAddr).want(t, exitFailure, "interrupted")
}
