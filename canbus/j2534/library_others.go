//go:build !windows

package j2534

import (
	"errors"
	"fmt"
	"runtime"
)

// installed finds nothing, and load loads nothing: the libraries are for Windows.
func installed() ([]Adapter, error) {
	instead := "its serial port if it speaks slcan (slcan:PORT@BITRATE), or isotp serve-bus on a computer with Windows (socketcand:HOST:PORT/BUS)"
	if runtime.GOOS == "linux" {
		instead = "can0 if Linux has a driver for the adapter (isotp link lists interfaces and serial ports), or " + instead
	}
	return nil, fmt.Errorf("the libraries of pass-thru adapters are for Windows: use %s: %w", instead, errors.ErrUnsupported)
}

func load(string) (library, error) {
	_, err := installed()
	return nil, err
}
