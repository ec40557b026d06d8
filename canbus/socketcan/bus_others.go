//go:build !linux

package socketcan

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"example.com/isotp/canbus"
)

func init() {
	canbus.Register("", func(_ context.Context, name string) (canbus.Bus, error) {
		return nil, fmt.Errorf("socketcan: interface %q: %s has no SocketCAN, only Linux (names of other buses have a colon, as virtual:NAME): %w",
			name, runtime.GOOS, errors.ErrUnsupported)
	})
}
