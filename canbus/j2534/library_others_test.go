//go:build !windows

package j2534

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"example.com/isotp/canbus"
)

func TestWhereThereIsNoLibrary(t *testing.T) {
	want := "use its serial port"
	if runtime.GOOS == "linux" {
		want = "use can0"
	}
	for _, name := range []string{"j2534:openport@500000", "j2534:@500000", `j2534:C:\op20pt32.dll@500000`} {
		_, err := canbus.Open(t.Context(), name)
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%s): %v", name, err)
		}
	}
	if _, err := Adapters(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Adapters: %v", err)
	}
	one := canbus.Identity("j2534:OpenPort@500000")
	for name, same := range map[string]bool{"j2534:openport@500000": true, "j2534:openport@250000": false, "j2534:other@500000": false} {
		if got := canbus.Identity(name); (got == one) != same {
			t.Errorf("%s is %s, and the other one %s", name, got, one)
		}
	}
}
