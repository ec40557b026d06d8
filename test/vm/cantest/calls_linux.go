package cantest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	tracing = "/sys/kernel/tracing"
	onCall  = tracing + "/events/raw_syscalls/sys_enter"
	counter = "hist:key=common_pid"
)

// CountCalls counts the system calls of this machine, of which the program is as good as
// alone, until count is called. Where the kernel does not count them it skips the benchmark.
func CountCalls(b *testing.B) (count func() float64) {
	b.Helper()
	if !InMachine() {
		b.Skip("system calls are counted in a machine only, see test/vm")
	}
	if _, err := os.Stat(onCall); err != nil {
		if err := unix.Mount("tracefs", tracing, "tracefs", 0, ""); err != nil {
			b.Skip("this kernel does not count system calls: ", err)
		}
	}
	trigger := func(text string) {
		b.Helper()
		if err := os.WriteFile(onCall+"/trigger", []byte(text), 0); err != nil {
			b.Fatal(err)
		}
	}
	trigger(counter)
	return func() float64 {
		b.Helper()
		text, err := os.ReadFile(onCall + "/hist")
		trigger("!" + counter)
		var calls float64
		_, hits, _ := strings.Cut(string(text), "Hits: ")
		if _, scanErr := fmt.Sscan(hits, &calls); err != nil || scanErr != nil {
			b.Fatal("the kernel's count cannot be read: ", err, scanErr)
		}
		return calls
	}
}
