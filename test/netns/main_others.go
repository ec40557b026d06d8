//go:build !linux

package netns

import (
	"errors"
	"os"
	"runtime"
	"testing"
)

// Main runs the tests; it is for TestMain and does not return.
func Main(m *testing.M) {
	missing = runtime.GOOS + " has no network namespaces"
	os.Exit(m.Run())
}

// SetLoopback is for Linux.
func SetLoopback(bool) error { return errors.ErrUnsupported }

// AddRoutes is for Linux.
func AddRoutes() error { return errors.ErrUnsupported }
