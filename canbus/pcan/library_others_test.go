//go:build !windows && !darwin

package pcan

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"example.com/isotp/canbus"
)

func TestWhereThereIsNoLibrary(t *testing.T) {
	want := "no library"
	if runtime.GOOS == "linux" {
		want = "use can0"
	}
	_, err := canbus.Open(t.Context(), "pcan:USB1@500000")
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), want) {
		t.Errorf("Open: %v", err)
	}
	if _, err := Channels(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Channels: %v", err)
	}
}
