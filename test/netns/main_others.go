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
	Enter()
	os.Exit(m.Run())
}

// Enter is for Linux, and for programs of Windows that test/wine starts: their network is that of Linux.
func Enter() error {
	if os.Getenv(inside) != "" {
		missing = ""
		return nil
	}
	missing = runtime.GOOS + " has no network namespaces"
	return errors.New(missing)
}

// SetLoopback is for Linux.
func SetLoopback(bool) error { return errors.ErrUnsupported }

// AddRoutes is for Linux.
func AddRoutes() error { return errors.ErrUnsupported }
