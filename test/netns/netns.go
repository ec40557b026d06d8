// Package netns runs tests in a network namespace of their own, which has only the
// loopback interface: all that they send, multicast too, stays there.
package netns

import (
	"os"
	"testing"
)

// inside is set in the environment of programs that run in the namespace.
const inside = "ISOTPNET_NETNS_INSIDE"

// missing is why there is no namespace; empty if there is one.
var missing = "TestMain has called neither netns.Main nor netns.Enter"

// Need skips the test if there is no namespace. If ISOTPNET_NO_SKIP is set, as test/run
// does, it fails the test instead.
func Need(t testing.TB) {
	t.Helper()
	switch {
	case missing == "":
	case os.Getenv("ISOTPNET_NO_SKIP") != "":
		t.Fatal("no network namespace: ", missing)
	default:
		t.Skip("no network namespace: ", missing)
	}
}
