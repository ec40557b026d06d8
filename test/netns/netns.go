// Package netns runs tests in a network namespace of their own, which has the
// loopback interface alone: what they send, multicast too, stays there.
package netns

import (
	"os"
	"testing"
)

// missing is why there is no namespace; empty if there is one.
var missing = "TestMain has called neither netns.Main nor netns.Enter"

// Need skips the test where there is no namespace. test/run sets
// ISOTPNET_NO_SKIP, with which it fails.
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
