package isotpnet

import (
	"encoding/binary"
	"math"
	"time"

	"example.com/isotp/internal/wire"
	"golang.org/x/sys/unix"
)

// The options of linux/can/isotp.h. They can be set before bind only.
const (
	solCANISOTP = 100 + unix.CAN_ISOTP // SOL_CAN_BASE + CAN_ISOTP

	optOpts    = 1
	optRecvFC  = 2
	optTxSTmin = 3
	optRxSTmin = 4
	optLLOpts  = 5

	// A frame_txtime of 0 leaves the old one, 50 us at first.
	frameTxTimeZero = math.MaxUint32

	mtuClassic = 16 // sizeof(struct can_frame)
	mtuFD      = 72 // sizeof(struct canfd_frame)
	flagBRS    = 0x01
)

// socketOptions are all options of a CAN_ISOTP socket.
type socketOptions struct {
	// struct can_isotp_options
	flags        KernelFlags
	frameTxTime  uint32 // ns
	extAddress   byte
	txPad, rxPad byte
	rxExtAddress byte

	// struct can_isotp_fc_options. Its third field, wftmax, is not used by any
	// kernel.
	blockSize, stmin byte

	txSTmin, rxSTmin uint32 // ns; CAN_ISOTP_TX_STMIN, CAN_ISOTP_RX_STMIN

	// struct can_isotp_ll_options
	mtu, txDL, txFlags byte
}

// options returns the options of the socket.
func (s *kernelSpec) options() *socketOptions {
	c := s.config
	o := &socketOptions{
		flags:       c.Kernel.Flags,
		frameTxTime: frameTxTimeZero,
		txPad:       c.Padding.fill(),
		rxPad:       c.Kernel.RxPadding.fill(),
		blockSize:   byte(c.BlockSize),
		stmin:       wire.EncodeSTmin(c.STmin),
		txSTmin:     nanoseconds(c.OverrideSTmin),
		rxSTmin:     nanoseconds(c.Kernel.RxSTmin),
		mtu:         mtuClassic,
		txDL:        byte(c.frameSize()),
	}
	set := func(flag KernelFlags, on bool) {
		if on {
			o.flags |= flag
		}
	}
	set(flagExtendAddr, s.tx.HasByte)
	o.extAddress = s.tx.Byte
	switch {
	case s.rx == nil:
		set(flagSFBroadcast, o.flags&KernelBroadcast == 0)
	case s.rx.HasByte:
		set(flagRxExtAddr, true)
		o.rxExtAddress = s.rx.Byte
	}
	set(flagTxPadding, !c.Padding.off)
	set(flagRxPadding, c.Kernel.RxPadding.set && !c.Kernel.RxPadding.off)
	set(flagForceTxSTmin, c.OverrideSTmin != 0)
	set(flagForceRxSTmin, c.Kernel.RxSTmin > 0)
	set(flagDynFCParms, !c.KeepFirstFlowControl)
	if c.Kernel.FrameTxTime > 0 {
		o.frameTxTime = nanoseconds(c.Kernel.FrameTxTime)
	}
	if c.FD {
		o.mtu = mtuFD
	}
	if c.BRS {
		o.txFlags = flagBRS
	}
	return o
}

func nanoseconds(d time.Duration) uint32 { return uint32(max(d, 0)) }

// apply sets the options of a socket that is not bound yet.
func (o *socketOptions) apply(fd int) error {
	opts := binary.NativeEndian.AppendUint32(nil, uint32(o.flags))
	opts = binary.NativeEndian.AppendUint32(opts, o.frameTxTime)
	opts = append(opts, o.extAddress, o.txPad, o.rxPad, o.rxExtAddress)
	for _, s := range []struct {
		name  int
		value []byte
	}{
		{optOpts, opts},
		{optRecvFC, []byte{o.blockSize, o.stmin, 0}},
		{optTxSTmin, binary.NativeEndian.AppendUint32(nil, o.txSTmin)},
		{optRxSTmin, binary.NativeEndian.AppendUint32(nil, o.rxSTmin)},
		{optLLOpts, []byte{o.mtu, o.txDL, o.txFlags}},
	} {
		if err := unix.SetsockoptString(fd, solCANISOTP, s.name, string(s.value)); err != nil {
			return err
		}
	}
	return nil
}
