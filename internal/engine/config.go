package engine

import (
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// Config has the parameters that the engines of many endpoints share. Its fields have no
// defaults: isotpnet.Config has the defaults and the checks.
type Config struct {
	// Bitrate and DataBitrate are those of the wire; 0 where they are not known.
	// Frames take their time: see Engine.answerable.
	Bitrate, DataBitrate int
	// Echoes: HandleTransmitted follows a frame's echo, and not only its being
	// taken by the bus; echoes and what is received come in the order of the wire.
	Echoes bool

	// FrameTime, if not nil, is the time of the newest frame by a clock of the frames'
	// own, as in a log. Receptions go by it: see Engine.Elapse.
	FrameTime *Time

	// Drops are those of the bus.
	Drops *Drops

	// How frames are written: see wire.Format.
	FrameSize, MinFrameSize int
	Fill                    byte
	FD, BRS                 bool

	// BlockSize and STmin (coded) stand in the flow controls that we send.
	BlockSize, STmin uint8
	// OverrideSTmin is the separation time to use whatever the peer asks for;
	// negative: what the peer asks for.
	OverrideSTmin time.Duration
	// FirstFlowControl: BS and STmin of a message's first CTS hold to its end.
	FirstFlowControl bool

	// NAs limits each frame's way to the bus, N_As and N_Ar; NBs the wait for a
	// flow control; NCr the wait for a Consecutive Frame; NCs how long we may
	// keep the peer waiting for one.
	NAs, NBs, NCr, NCs time.Duration
	// NBr is how long a CTS is held back before each WAIT.
	NBr time.Duration
	// NeverHold: a message that there is no room for is refused instead.
	NeverHold bool
	// MaxWaits is how many WAITs in a row are accepted; negative: any number.
	MaxWaits int
	// MaxSendWaits, N_WFTmax, is how many WAITs in a row are sent.
	MaxSendWaits int

	// MaxMessageSize is the longest message received whole.
	MaxMessageSize uint32
	// HighMark is how many bytes of messages may wait to be read before CTS is
	// held back. HardLimit is how many bytes of Single Frames may wait before more are lost.
	HighMark, HardLimit int
	// Window is how many bytes of a streamed message may wait to be read.
	Window int

	// RateBits is how many bits of frame data may be sent within RateWindow; 0:
	// any number.
	RateBits   int
	RateWindow time.Duration

	// ListenOnly: nothing is ever sent.
	ListenOnly bool
	// DeadlineAtFirstFrame: a read whose deadline comes while a message is coming that was
	// started before goes on until the message has ended.
	DeadlineAtFirstFrame bool
	// ReportAborted: a waiting read learns that the reception of a message was aborted.
	ReportAborted bool
}

// wireTime returns the least time that a frame takes on the wire. It is a little less than
// the bit rate says, because our clock and the bus's differ.
func (c *Config) wireTime(f *canbus.Frame) time.Duration {
	d := canbus.WireTime(f, c.Bitrate, c.DataBitrate)
	return d - d/64
}

// Format returns how frames to that address are written.
func (c *Config) Format(to wire.Address) wire.Format {
	return wire.Format{
		Address:      to,
		FrameSize:    c.FrameSize,
		MinFrameSize: c.MinFrameSize,
		Fill:         c.Fill,
		FD:           c.FD,
		BRS:          c.BRS,
	}
}
