package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"example.com/isotp/test/ecutest"
)

// program runs the program against a simulated ECU, and returns what it prints and its error.
func program(t *testing.T, ctx context.Context, image []byte, responses string) string {
	t.Helper()
	ecutest.Serve(t, "virtual:flash/7E8:7E0", "", responses)
	file := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(file, image, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := run(ctx, &out, file, "virtual:flash/7E0:7E8")
	text := out.String()[strings.LastIndex(out.String(), "\r")+1:]
	return fmt.Sprint(strings.ReplaceAll(text, file, "image"), err)
}

// The last block has one byte; there are more than 256 blocks.
func TestFlash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		image := bytes.Repeat([]byte{0xA5}, 300*4093+1)
		want := "[########################################] 100 %\nimage: 1227901 bytes, checksum E2A727EA\n<nil>"
		if got := program(t, t.Context(), image, ""); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestECUsThatDoNotFlash(t *testing.T) {
	for responses, want := range map[string]string{
		"10* : 7F1022":                       "programming session: the ECU refuses service 10: code 22",
		"34* : 7F3470":                       "request of a download: the ECU refuses service 34: code 70",
		"34* : 74":                           "request of a download: the ECU answers , which is no length of blocks",
		"34* : 74 20 01":                     "request of a download: the ECU answers 20 01, which is no length of blocks",
		"34* : 74 10 02":                     "request of a download: the ECU wants blocks of 2 bytes, service and number included",
		"34* : 7440FFFFFFFF\n36* : 7F3672":   "0 of 3 bytes: the ECU refuses service 36: code 72",
		"36* : 76":                           "0 of 3 bytes: the ECU answers  to block 01",
		"36* : 7F3678 | 7602":                "0 of 3 bytes: the ECU answers 02 to block 01",
		"36* : -":                            "the ECU does not answer",
		"37* : 77":                           "[########################################] 100 %\nend of the download: a checksum of 0 bytes, not 4",
		"37* : 7700000000":                   "[########################################] 100 %\nthe ECU has received something else: its checksum is 00000000, not A3830348",
		"37* : 7F3778 | 7F3778 | 77A3830348": "[########################################] 100 %\nimage: 3 bytes, checksum A3830348\n<nil>",
	} {
		synctest.Test(t, func(t *testing.T) {
			if got := program(t, t.Context(), []byte("ABC"), responses); got != want {
				t.Errorf("%s: %q, want %q", responses, got, want)
			}
		})
	}
}

func TestAFileThatIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if got := program(t, t.Context(), nil, ""); !strings.HasSuffix(got, "image has 0 bytes, not from 1 to 4294967295") {
			t.Error(got)
		}
	})
}

func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("interrupted"))
		if got := program(t, ctx, []byte("ABC"), ""); !strings.Contains(got, "cancel") && !strings.Contains(got, "interrupted") {
			t.Errorf("%q", got)
		}
	})
}
