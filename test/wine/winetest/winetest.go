// Package winetest is for tests that Wine gets in the way of.
package winetest

import (
	"os"
	"testing"
)

// Under is set in the environment of programs that test/wine starts.
const Under = "ISOTPNET_UNDER_WINE"

// Fault skips the test under Wine, because of what Wine does in another way than Windows.
func Fault(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(Under) != "" {
		t.Skip("Wine: " + what)
	}
}
