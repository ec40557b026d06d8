//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/isotp/test/vm/cantest"
)

// These tests need CAN in the kernel: see test/vm.

func TestKernelDemoOnAnInterface(t *testing.T) {
	cantest.Need(t)
	name := writeFile(t, randomBytes(100_000))
	for _, test := range []struct{ flags, frames string }{
		{"--network isotp", "the kernel does not tell"},
		{"--network isotp:kernel --fd", "the kernel does not tell"},
		// 24 messages of 4095 bytes and one of 1720, as in TestDemoSendsAFile.
		{"--network isotp:user", "14335: 14310 of data, 25 of flow control"},
	} {
		r := isotp(t.Context(), nil, append([]string{"demo", "vcan0/7E0:7E8", name}, words(test.flags)...)...)
		r.want(t, exitOK, "")
		r.wantSummary(t, map[string]string{"match": "yes", "messages": "25", "frames": test.frames})
	}
}

func TestKernelSendAndRecvOnAnInterface(t *testing.T) {
	cantest.Need(t)
	const message = "22F190000102030405060708090A0B0C0D0E0F10"
	for _, networks := range [][2]string{{"isotp", "isotp"}, {"isotp:user", "isotp:kernel"}, {"isotp:kernel", "isotp:user"}} {
		received := make(chan result, 1)
		go func() {
			received <- isotp(t.Context(), nil, "recv", "--hex", "--count", "1", "--network", networks[1], "vcan1/7E8:7E0")
		}()
		// The message needs flow control, which no program sends before recv listens.
		send := func() result {
			return isotp(t.Context(), strings.NewReader(message), "send", "--hex", "--network", networks[0], "vcan1/7E0:7E8")
		}
		r := send()
		for r.status == exitTimeout {
			r = send()
		}
		r.want(t, exitOK, "")
		r = <-received
		r.want(t, exitOK, "")
		r.wantStdout(t, message+"\n")
	}
}

// What is too long for the kernel goes through the engine, by itself.
func TestKernelIsLeftForLongMessagesOnAnInterface(t *testing.T) {
	cantest.Need(t)
	message := randomBytes(100_000)
	received := make(chan result, 1)
	go func() {
		received <- isotp(t.Context(), nil, "recv", "--long", "--count", "1", "vcan1/7E8:7E0")
	}()
	// The message needs flow control, which no program sends before recv listens.
	send := func() result {
		return isotp(t.Context(), strings.NewReader(message), "send", "--size", "100000", "vcan1/7E0:7E8")
	}
	r := send()
	for r.status == exitTimeout {
		r = send()
	}
	r.want(t, exitOK, "")
	r = <-received
	r.want(t, exitOK, "")
	r.wantStdout(t, message)
}

// The ECU is a socket of the kernel, the tester our engine.
func TestKernelECUAnswersRequests(t *testing.T) {
	cantest.Need(t)
	t.Setenv(busVariable, "vcan1")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan result, 1)
	go func() {
		ended <- isotp(ctx, nil, "ecu", "--network", "isotp:kernel", "7E8:7E0")
	}()
	ask := func() result {
		return isotp(t.Context(), nil, "request", "--raw", "--delta-p2", "1s", "7E0:7E8", "22F190", "22F191")
	}
	r := ask()
	for r.status == exitTimeout { // the ECU does not listen yet
		r = ask()
	}
	r.want(t, exitNegative, "1 of 2 requests have failed")
	r.wantStdout(t, fmt.Sprintf("62F190%X\n7F2231\n", "WVWZZZ1JZXW000001"))
	stop()
	r = <-ended
	r.want(t, exitOK, "")
}

func TestKernelLinkListsInterfaces(t *testing.T) {
	cantest.Need(t)
	r := isotp(t.Context(), nil, "link", "--vcan", "made0")
	t.Cleanup(func() { cantest.DeleteLink("made0") })
	r.want(t, exitOK, "")
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("isotp:kernel  yes  Linux %s, messages of up to ", strings.TrimSpace(string(release))),
		"isotp:user    yes", "\nvcan0      vcan  -       up     CAN FD  -\n", "\nmade0      vcan  -       up     CAN FD  -\n",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in\n%s", want, r.stdout)
		}
	}
	if strings.Contains(r.stdout, "\nlo ") {
		t.Error("lo is no CAN interface:\n" + r.stdout)
	}
	isotp(t.Context(), nil, "link", "--vcan", "made0").want(t, exitUsage, "there is an interface of that name")
	isotp(t.Context(), nil, "link", "--vcan", "much/too/long/for/a/name").want(t, exitUsage, "at most 15 characters")
}

// On a vcan scan needs no --yes.
func TestKernelScanOfAVirtualInterface(t *testing.T) {
	cantest.Need(t)
	r := isotp(t.Context(), nil, words("scan --simulate 7E8:7E0 --ids 7E0-7E1 --listen 0s --wait 200ms vcan2")...)
	r.want(t, exitOK, "")
	if !strings.HasPrefix(r.stdout, "7E0:7E8 ") {
		t.Errorf("standard output: %s", r.stdout)
	}
}

// The kernel's frames are captured by a socket beside its own; the engine's by the same.
func TestKernelCaptureOnAnInterface(t *testing.T) {
	cantest.Need(t)
	name := writeFile(t, "twenty bytes of data")
	for _, network := range []string{"isotp", "isotp:kernel", "isotp:user"} {
		file := filepath.Join(t.TempDir(), "a.pcapng")
		isotp(t.Context(), nil, "demo", "--network", network, "--capture", file, "vcan0/7E0:7E8", name).want(t, exitOK, "")
		want := []string{"vcan0 7E0#10147477656E7479 T", "vcan0 7E0#2120627974657320 T", "vcan0 7E0#226F662064617461 T", "vcan0 7E8#300000 T"}
		got := captured(t, file)
		for i := range got {
			got[i] = strings.Replace(got[i], "CCCCCCCCCC", "", 1) // the padding of flow control
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: captured %q, want %q", network, got, want)
		}
	}
}
