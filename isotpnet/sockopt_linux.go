package isotpnet

import (
	"encoding/binary"
	"math"
	"time"

	"example.com/isotp/internal/kernel"
	"example.com/isotp/internal/wire"
)

func init() { socketOptions = isotpOptions }

// isotpOptions returns the options of a CAN_ISOTP socket, in the order of
// linux/can/isotp.h. See KernelOptions.
func isotpOptions(c *Config, tx wire.Address, rx *wire.Address) []kernel.Option {
	const (
		CAN_ISOTP_OPTS     = 1
		CAN_ISOTP_RECV_FC  = 2
		CAN_ISOTP_TX_STMIN = 3
		CAN_ISOTP_RX_STMIN = 4
		CAN_ISOTP_LL_OPTS  = 5
	)
	var heard wire.Address
	if rx != nil {
		heard = *rx
	}
	return []kernel.Option{
		{Name: CAN_ISOTP_OPTS, Value: structOf( // struct can_isotp_options
			uint32(socketFlags(c, tx, rx)), // flags
			frameTxTime(c),                 // frame_txtime, in ns
			tx.Byte,                        // ext_address
			c.Padding.fill(),               // txpad_content
			c.Kernel.RxPadding.fill(),      // rxpad_content
			heard.Byte,                     // rx_ext_address
		)},
		{Name: CAN_ISOTP_RECV_FC, Value: structOf( // struct can_isotp_fc_options
			byte(c.BlockSize),         // bs
			wire.EncodeSTmin(c.STmin), // stmin
			byte(0),                   // wftmax, which no kernel uses
		)},
		{Name: CAN_ISOTP_TX_STMIN, Value: structOf(nanoseconds(c.OverrideSTmin))},
		{Name: CAN_ISOTP_RX_STMIN, Value: structOf(nanoseconds(c.Kernel.RxSTmin))},
		{Name: CAN_ISOTP_LL_OPTS, Value: structOf( // struct can_isotp_ll_options
			linkMTU(c),          // mtu
			byte(c.frameSize()), // tx_dl
			linkFlags(c),        // tx_flags
		)},
	}
}

// socketFlags are those of CAN_ISOTP_OPTS.
func socketFlags(c *Config, tx wire.Address, rx *wire.Address) KernelFlags {
	flags := c.Kernel.Flags
	for _, f := range []struct {
		flag KernelFlags
		on   bool
	}{
		{flagExtendAddr, tx.HasByte},
		{flagTxPadding, !c.Padding.off},
		{flagRxPadding, c.Kernel.RxPadding.set && !c.Kernel.RxPadding.off},
		{flagForceTxSTmin, c.OverrideSTmin != 0},
		{flagForceRxSTmin, c.Kernel.RxSTmin > 0},
		{flagRxExtAddr, rx != nil && rx.HasByte},
		{flagSFBroadcast, rx == nil && flags&KernelBroadcast == 0},
		{flagDynFCParms, !c.KeepFirstFlowControl},
	} {
		if f.on {
			flags |= f.flag
		}
	}
	return flags
}

// frameTxTime: 0 would leave the kernel's own default, 50 us; all ones stand for 0.
func frameTxTime(c *Config) uint32 {
	if c.Kernel.FrameTxTime > 0 {
		return nanoseconds(c.Kernel.FrameTxTime)
	}
	return math.MaxUint32
}

func nanoseconds(d time.Duration) uint32 { return uint32(max(d, 0)) }

// linkMTU is the size of the frames' struct.
func linkMTU(c *Config) byte {
	if c.FD {
		return 72 // struct canfd_frame
	}
	return 16 // struct can_frame
}

func linkFlags(c *Config) byte {
	if c.BRS {
		return 0x01 // CANFD_BRS
	}
	return 0
}

// structOf returns the bytes of a C struct of uint32s and bytes.
func structOf(fields ...any) (b []byte) {
	for _, f := range fields {
		switch f := f.(type) {
		case uint32:
			b = binary.NativeEndian.AppendUint32(b, f)
		case byte:
			b = append(b, f)
		}
	}
	return b
}
