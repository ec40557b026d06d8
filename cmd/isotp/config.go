package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/isotp/isotpnet"
)

// configFlags are the fields of isotpnet.Config, by the same names: so flagOf finds the
// flag for a field that the library names in an error.
type configFlags struct {
	STmin                   time.Duration `name:"stmin" group:"config" placeholder:"TIME" help:"Least time that the peer leaves between Consecutive Frames: 100us to 900us, 1ms to 127ms."`
	OverrideSTmin           time.Duration `name:"override-stmin" group:"config" placeholder:"TIME" help:"Time to leave between Consecutive Frames, in place of what the peer asks for; negative: none."`
	TransmitTimeout         time.Duration `name:"transmit-timeout" group:"config" placeholder:"TIME" help:"N_As and N_Ar: how long a frame may take to get on the bus (1s)."`
	FlowControlTimeout      time.Duration `name:"flow-control-timeout" group:"config" placeholder:"TIME" help:"N_Bs: how long to wait for the peer's flow control (1s)."`
	FlowControlHold         time.Duration `name:"flow-control-hold" group:"config" placeholder:"TIME" help:"N_Br: how long to hold back flow control before a WAIT (0.8s); negative: never."`
	ConsecutiveFrameTimeout time.Duration `name:"consecutive-frame-timeout" group:"config" placeholder:"TIME" help:"N_Cr: how long to wait for the peer's next Consecutive Frame (1s)."`
	BlockSize               int           `name:"block-size" group:"config" placeholder:"N" help:"BS: Consecutive Frames from one flow control to the next, 1 to 255; 0: no limit."`
	FrameSize               int           `name:"frame-size" group:"config" placeholder:"N" help:"TX_DL: bytes in a full frame (8, or 64 with --fd)."`
	MinFrameSize            int           `name:"min-frame-size" group:"config" placeholder:"N" help:"Fill shorter frames up to N bytes (8)."`
	MaxWaitFramesReceived   int           `name:"max-wait-frames" group:"config" placeholder:"N" help:"WAITs in a row to accept; 0: any number; negative: none."`
	MaxWaitFramesSent       int           `name:"max-send-wait-frames" group:"config" placeholder:"N" help:"N_WFTmax: WAITs in a row to send (10); negative: none."`
	MaxMessageSize          int           `name:"max-message-size" group:"config" placeholder:"BYTES" help:"Longest message to receive whole (16 MiB from one peer, 65535 from any of many); negative: any."`
	MaxSendSize             int           `name:"max-send-size" group:"config" placeholder:"BYTES" help:"Longest message to send (no limit but the backend's)."`
	SplitWrites             bool          `name:"split-writes" group:"config" help:"Send what is longer than --max-send-size (4095) as several messages."`
	ReadBuffer              int           `name:"read-buffer" group:"config" placeholder:"BYTES" help:"Bytes that may wait to be read before the peer is held up (65536)."`
	Padding                 padding       `name:"padding" group:"config" placeholder:"HEX" help:"Byte to fill short frames with (CC), or none."`
	FD                      bool          `name:"fd" group:"config" help:"Send CAN FD frames."`
	BRS                     bool          `name:"brs" group:"config" help:"Switch the bit rate for the data of CAN FD frames."`
	ListenOnly              bool          `name:"listen-only" group:"config" help:"Receive without sending anything, not even flow control."`
	DeadlineAtFirstFrame    bool          `name:"deadline-at-first-frame" group:"config" help:"A time limit ends when a message begins, not when it is complete."`
	ReportAborted           bool          `name:"report-aborted" group:"config" help:"Fail when a message that is being received is given up, instead of waiting for the next one."`
	KeepFirstFlowControl    bool          `name:"keep-first-flow-control" group:"config" help:"Take BS and STmin from the first flow control of a message only."`
	RateLimit               int           `name:"rate-limit" group:"config" placeholder:"BITS" help:"Most bits of frame data to send in a second."`
	Window                  time.Duration `name:"rate-window" group:"config" placeholder:"TIME" help:"Time over which --rate-limit holds (0.2s)."`
	KernelFlags             kernelFlags   `name:"kernel-flags" group:"config" placeholder:"HEX" help:"Flags of CAN_ISOTP_OPTS to set beside those that follow from other flags here (isotp:kernel)."`
	FrameTxTime             time.Duration `name:"frame-tx-time" group:"config" placeholder:"TIME" help:"Time that the kernel adds before each Consecutive Frame (isotp:kernel)."`
	RxSTmin                 time.Duration `name:"rx-stmin" group:"config" placeholder:"TIME" help:"Ignore Consecutive Frames that come sooner than this after the one before (isotp:kernel)."`
	RxPadding               padding       `name:"rx-padding" group:"config" placeholder:"HEX" help:"Byte that received frames must be filled with, if --kernel-flags has checks (isotp:kernel)."`
	Pacing                  string        `name:"pacing" group:"config" enum:"exact,spin" default:"exact" help:"How to wait for the moment to send: exact, or spin, which keeps a processor busy."`
	Logger                  string        `name:"log" group:"config" enum:"off,warn,debug" default:"off" help:"Log on standard error: off, warn (messages given up) or debug (every step)."`
	Trace                   bool          `name:"trace" group:"config" help:"Write each frame on standard error, as candump -L does; a T marks frames sent."`
}

// config returns the Config, without Logger and Trace, which newTracer sets.
func (f *configFlags) config() isotpnet.Config {
	c := isotpnet.Config{
		STmin:                   f.STmin,
		OverrideSTmin:           f.OverrideSTmin,
		TransmitTimeout:         f.TransmitTimeout,
		FlowControlTimeout:      f.FlowControlTimeout,
		FlowControlHold:         f.FlowControlHold,
		ConsecutiveFrameTimeout: f.ConsecutiveFrameTimeout,
		BlockSize:               f.BlockSize,
		FrameSize:               f.FrameSize,
		MinFrameSize:            f.MinFrameSize,
		MaxWaitFramesReceived:   f.MaxWaitFramesReceived,
		MaxWaitFramesSent:       f.MaxWaitFramesSent,
		MaxMessageSize:          f.MaxMessageSize,
		MaxSendSize:             f.MaxSendSize,
		SplitWrites:             f.SplitWrites,
		ReadBuffer:              f.ReadBuffer,
		Padding:                 f.Padding.Padding,
		FD:                      f.FD,
		BRS:                     f.BRS,
		ListenOnly:              f.ListenOnly,
		DeadlineAtFirstFrame:    f.DeadlineAtFirstFrame,
		ReportAborted:           f.ReportAborted,
		KeepFirstFlowControl:    f.KeepFirstFlowControl,
		RateLimit:               isotpnet.RateLimit{BitsPerSecond: f.RateLimit, Window: f.Window},
		Kernel: isotpnet.KernelOptions{
			Flags:       isotpnet.KernelFlags(f.KernelFlags),
			FrameTxTime: f.FrameTxTime,
			RxSTmin:     f.RxSTmin,
			RxPadding:   f.RxPadding.Padding,
		},
	}
	if f.Pacing == "spin" {
		c.Pacing = isotpnet.PaceSpin
	}
	return c
}

// kernelFlags is the value of --kernel-flags.
type kernelFlags isotpnet.KernelFlags

// UnmarshalText takes hexadecimal digits, with or without 0x.
func (k *kernelFlags) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(string(text)), "0x"), 16, 32)
	if err != nil {
		return fmt.Errorf("%q is not a number of 32 bits in hexadecimal, such as 40", text)
	}
	*k = kernelFlags(n)
	return nil
}

// padding is the value of --padding.
type padding struct {
	isotpnet.Padding
	fill byte // what it says, for commands that make frames themselves
	none bool
}

// UnmarshalText takes one byte in hexadecimal digits, with or without 0x, or none.
func (p *padding) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "none" {
		*p = padding{Padding: isotpnet.NoPadding(), none: true}
		return nil
	}
	b, err := parseByte(s)
	if err != nil {
		return fmt.Errorf("%q is not a byte in hexadecimal, such as CC, nor none", s)
	}
	*p = padding{Padding: isotpnet.PadWith(b), fill: b}
	return nil
}

// parseByte takes hexadecimal digits, with or without 0x.
func parseByte(s string) (byte, error) {
	b, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(s), "0x"), 16, 8)
	return byte(b), err
}

// checkTimeout checks the value of --timeout.
func checkTimeout(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("--timeout %v: it must be above 0, or 0 for no limit", d)
	}
	return nil
}

// deadlineIn returns when a wait of that length ends; 0 is never.
func deadlineIn(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}
