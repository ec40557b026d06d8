//go:build !windows

package kvaser

import (
	"errors"
	"fmt"
	"runtime"
)

// load loads nothing: CANlib is a library for Windows.
func load() (library, error) {
	if runtime.GOOS == "linux" {
		return nil, fmt.Errorf("kvaser: on Linux these adapters are SocketCAN interfaces (driver kvaser_usb or kvaser_pciefd): use can0, and isotp link lists them: %w", errors.ErrUnsupported)
	}
	return nil, fmt.Errorf("kvaser: Kvaser has no library for %s, only for Windows; on Linux its adapters are SocketCAN interfaces, and isotp serve-bus there lends them over the network: %w", runtime.GOOS, errors.ErrUnsupported)
}
