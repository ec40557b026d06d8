//go:build !linux && !windows

package slcan

import "errors"

// usbPorts would need cgo on macOS, and on the BSDs there is nothing that tells.
func usbPorts() ([]usbPort, error) { return nil, errors.ErrUnsupported }
