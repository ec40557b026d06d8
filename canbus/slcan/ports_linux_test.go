package slcan

import (
	"os"
	"testing"

	"github.com/creack/pty"
)

func TestAPortInUse(t *testing.T) {
	other, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	list := []Port{{Name: tty.Name()}, {Name: "/dev/nonesuch"}}
	tty.Close()
	if markInUse(list); list[0].InUse || list[1].InUse {
		t.Errorf("before it is opened: %+v", list)
	}
	f, err := os.Open(list[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if markInUse(list); !list[0].InUse || list[1].InUse {
		t.Errorf("%+v", list)
	}
}
