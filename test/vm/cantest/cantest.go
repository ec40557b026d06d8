// Package cantest gives tests the CAN interfaces vcan0 to vcan3.
//
// In the machines of test/vm they are there. On a Linux that has CAN, [Main]
// makes them in a user and network namespace of their own, so that a test meets
// nobody else's frames and needs no root. Elsewhere [Need] skips and says what is
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

// Kernel returns the name of the machine's kernel, as test/vm/run -k takes
// it; "" outside of one.
func Kernel() string { return os.Getenv("ISOTPNET_KERNEL") }

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
