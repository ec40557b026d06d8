//go:build !linux

package isotpnet

import (
	"example.com/isotp/internal/kernel"
	"example.com/isotp/internal/wire"
)

// socketOptions returns none: only Linux has sockets of ISO-TP.
func socketOptions(*Config, wire.Address, *wire.Address) []kernel.Option { return nil }
