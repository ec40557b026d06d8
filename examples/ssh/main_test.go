package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"testing"
)

// start starts an ECU, and returns its host key's fingerprint.
func start(t *testing.T) string {
	t.Helper()
	log.SetOutput(io.Discard)
	ctx, cancel := context.WithCancel(t.Context())
	listening := make(chan string, 1)
	var running sync.WaitGroup
	running.Go(func() {
		if err := ecu(ctx, "virtual:ssh/7E8:7E0", func(fingerprint string) { listening <- fingerprint }); err != nil {
			t.Error(err)
			close(listening)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return <-listening
}

func TestCommand(t *testing.T) {
	key := start(t)
	for command, want := range map[string]string{
		"vin":         "WVWZZZ1JZXW000001\n <nil>",
		"temperature": "the engine has 91 degrees\n <nil>",
		"reboot":      "reboot: no such command\n Process exited with status 127",
	} {
		answer, err := tell(t.Context(), "virtual:ssh/7E0:7E8", key, command)
		if got := fmt.Sprintf("%s %v", answer, err); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

func TestWrongKey(t *testing.T) {
	start(t)
	_, err := tell(t.Context(), "virtual:ssh/7E0:7E8", "SHA256:other", "vin")
	if err == nil || !strings.Contains(err.Error(), "not SHA256:other") {
		t.Errorf("error %v", err)
	}
}
