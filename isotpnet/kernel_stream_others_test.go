//go:build !linux

package isotpnet_test

import (
	"runtime"
	"testing"
)

func newKernelLink(t testing.TB) string {
	t.Helper()
	t.Skip("no CAN interfaces of the kernel's on " + runtime.GOOS)
	return ""
}
