//go:build !linux

package cantest

import (
	"os"
	"runtime"
	"testing"
)

// Main runs the tests; it is for TestMain and does not return.
func Main(m *testing.M) {
	missing = runtime.GOOS + " has no SocketCAN"
	os.Exit(m.Run())
}
