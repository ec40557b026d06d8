// Package cantest gives tests the CAN interfaces vcan0 to vcan3.
//
// In the machines of test/vm they are there. On a Linux that has CAN, [Main]
// makes them in a user and network namespace of their own, so that a test meets
// no other program's frames and needs no root. Elsewhere [Need] skips and says what is
// missing.
package cantest

import (
	"os"
	"testing"
)

// missing is why there are no interfaces; empty if there are.
var missing = "TestMain has not called cantest.Main"

// InMachine reports whether the tests run in a machine of test/vm.
func InMachine() bool { return Kernel() != "" }

// Kernel returns the first two numbers of the version of the machine's kernel; ""
// outside of one.
func Kernel() string { return os.Getenv("ISOTPNET_KERNEL") }

// ExactTime reports whether time goes by the instructions that the tests execute, as
// in an emulated machine of test/vm: it does not matter how busy the computer is.
func ExactTime() bool { return os.Getenv("ISOTPNET_EXACT_TIME") != "" }

// NeedExactTime skips the test where time is not exact.
func NeedExactTime(t testing.TB) {
	t.Helper()
	if !ExactTime() {
		t.Skip("time is exact in an emulated machine only; test/vm/run -k 6.12 runs this test in one")
	}
}

// Need skips the test if there are no CAN interfaces. In a machine it fails.
func Need(t testing.TB) {
	t.Helper()
	switch {
	case missing == "":
	case InMachine():
		t.Fatal("no CAN interfaces: ", missing)
	default:
		t.Skipf("no CAN interfaces: %s; test/vm/run runs this test in a machine that has them", missing)
	}
}
