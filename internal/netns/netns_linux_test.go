package netns_test

import (
	"runtime"
	"strings"
	"testing"

	"example.com/isotp/internal/netns"
	testnetns "example.com/isotp/test/netns"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { testnetns.Main(m) }

// elsewhere calls f on a thread in a new network namespace, whose lo is as it comes.
func elsewhere(t *testing.T, f func()) {
	t.Helper()
	testnetns.Need(t)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread is of no more use
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestNamespacesHaveDifferentNames(t *testing.T) {
	here, there := netns.Current(), ""
	elsewhere(t, func() { there = netns.Current() })
	if here == "" || there == "" || here == there {
		t.Errorf("the names are %q and %q", here, there)
	}
}

func TestAThreadInANamespaceOfItsOwnIsAway(t *testing.T) {
	if netns.Away() {
		t.Error("a thread like all others is away")
	}
	away := false
	elsewhere(t, func() { away = netns.Away() })
	if !away {
		t.Error("a thread in another namespace is not away")
	}
}

func TestTheSameInterfaceNameIsAnotherInterfaceElsewhere(t *testing.T) {
	here, there := netns.Interface("lo"), ""
	elsewhere(t, func() { there = netns.Interface("lo") })
	if here == there {
		t.Errorf("both are %q", here)
	}
	if strings.Contains(here, "lo") {
		t.Errorf("%q goes by the name, which can change", here)
	}
}

func TestAnInterfaceThatIsNotThereGoesByItsName(t *testing.T) {
	for _, name := range []string{"nosuch0", "a-name-longer-than-15"} {
		if id := netns.Interface(name); !strings.Contains(id, name) {
			t.Errorf("Interface(%q) = %q", name, id)
		}
	}
}

func TestDoIsInTheNamespaceThatIsHeld(t *testing.T) {
	var held *netns.Namespace
	name, err := "", error(nil)
	elsewhere(t, func() {
		name = netns.Current()
		held, err = netns.Hold()
	})
	if err != nil || held == nil {
		t.Fatalf("Hold: %v, %v", held, err)
	}
	defer held.Close()
	got := ""
	if err := held.Do(func() error { got = netns.Current(); return nil }); err != nil {
		t.Fatal(err)
	}
	if got != name {
		t.Errorf("Do is in %q, not in %q", got, name)
	}
	if netns.Away() {
		t.Error("other threads have changed their namespace")
	}
}

func TestNothingIsHeldWhereAllThreadsAreInOneNamespace(t *testing.T) {
	held, err := netns.Hold()
	if held != nil || err != nil {
		t.Errorf("Hold: %v, %v", held, err)
	}
	done := false
	if err := held.Do(func() error { done = true; return nil }); err != nil || !done {
		t.Errorf("Do of none: %v, %v", done, err)
	}
	held.Close()
}

func TestANamespaceThatIsNotHeldAnyMoreCannotBeEntered(t *testing.T) {
	var held *netns.Namespace
	elsewhere(t, func() { held, _ = netns.Hold() })
	held.Close()
	if err := held.Do(func() error { t.Error("was called"); return nil }); err == nil {
		t.Error("Do returned nil")
	}
}
