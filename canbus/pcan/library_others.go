//go:build !windows && !darwin

package pcan

import (
	"errors"
	"fmt"
	"runtime"
)

// load loads nothing: Linux has drivers of its own for these adapters.
func load(bool) (library, error) {
	if runtime.GOOS == "linux" {
		return nil, fmt.Errorf("PEAK's adapters are network interfaces on Linux: use can0 (isotp link lists them): %w", errors.ErrUnsupported)
	}
	return nil, fmt.Errorf("%s has no library for PEAK's adapters: %w", runtime.GOOS, errors.ErrUnsupported)
}
