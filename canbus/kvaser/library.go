package kvaser

import (
	"fmt"
	"time"
)

// The names, numbers and layouts in this file are those of CANlib's published interface
// (Kvaser's "CANlib SDK" documentation, https://kvaser.com/canlib-webhelp/).

// A library is CANlib: a method for each function of it that a Bus needs. A handle is used
// in one call at a time, as CANlib wants it, and none of the calls waits.
type library interface {
	numberOfChannels() (n int, s status)
	channelData(channel int, item int32, buf []byte) status
	// open returns a handle, or a negative status.
	open(channel int, flags int32) (h int32)
	close(h int32) status
	setBusParams(h int32, t timing) status
	setBusParamsFD(h int32, t timing) status
	// busParams returns the bit rate that the channel has.
	busParams(h int32) (bitrate int32, s status)
	setBusOutputControl(h int32, mode uint32) status
	busOn(h int32) status
	busOff(h int32) status
	ioctl(h int32, function uint32, buf []byte) status
	read(h int32, m *message) status
	write(h int32, m *message) status
	writeSync(h int32, milliseconds uint32) status
	readStatus(h int32) (flags uint32, s status)
	readErrorCounters(h int32) (tx, rx uint32, s status)
	// newWaiter returns what waits for something to happen to the handle.
	newWaiter(h int32) (waiter, status)
}

// A message is what canRead and canWrite move.
type message struct {
	id    int32 // a long, which has 32 bits on Windows
	data  [64]byte
	len   uint32 // in bytes, though the documentation calls it dlc
	flags uint32
	time  uint32 // an unsigned long, in units of the timer scale
}

// The items of canGetChannelData.
const (
	itemChannelCap   = 1  // uint32
	itemChannelFlags = 3  // uint32
	itemNumberOnCard = 6  // uint32, from 0
	itemCardSerial   = 7  // uint64
	itemCardUPC      = 11 // 8 bytes of BCD, the lowest digits first
	itemDescription  = 26 // ASCII, with a NUL behind it
)

// The capabilities and the flags of a channel.
const (
	capVirtual = 0x00010000
	capFD      = 0x00080000

	channelIsExclusive = 0x1
	channelIsOpen      = 0x2
)

// The flags of canOpenChannel.
const (
	openAcceptVirtual = 0x0020
	openFD            = 0x0400
)

// The modes of canSetBusOutputControl.
const (
	driverSilent = 1
	driverNormal = 4
)

// The functions of canIoCtl.
const (
	ioctlSetTimerScale       = 6  // uint32, microseconds
	ioctlSetTxack            = 7  // uint32
	ioctlFlushTxBuffer       = 11 // nothing
	ioctlGetEventHandle      = 14 // HANDLE
	ioctlReportAccessErrors  = 20 // a byte
	ioctlBusOnResetsTheTimer = 30 // uint32
)

// defaultTimerScale is the unit of a message's time without ioctlSetTimerScale.
const defaultTimerScale = time.Millisecond

// The flags of messages.
const (
	msgRemote   = 0x0001
	msgStandard = 0x0002
	msgExtended = 0x0004
	msgError    = 0x0020
	msgTxack    = 0x0040     // one of this handle's own, which is on the wire
	msgTxrq     = 0x0080     // one of this handle's own, which the controller has
	msgTxnack   = 0x02000000 // one of this handle's own that was sent once only, in vain

	msgFD  = 0x010000
	msgBRS = 0x020000
	msgESI = 0x040000

	msgOverrun = 0x0600 // messages before this one were lost: in hardware or in software
	msgStuff   = 0x0800
	msgForm    = 0x1000
	msgCRC     = 0x2000
	msgBit0    = 0x4000
	msgBit1    = 0x8000
)

// The flags of canReadStatus.
const (
	statusPassive = 0x1
	statusBusOff  = 0x2
	statusWarning = 0x4
)

// A status is what CANlib's functions return: 0 or more if all is well.
type status int32

const (
	ok              status = 0
	errParam        status = -1
	errNoMessage    status = -2
	errNotFound     status = -3
	errTimeout      status = -7
	errInvalid      status = -10
	errTxBufOfl     status = -13
	errHardware     status = -15
	errNotSupported status = -19
	errNoCard       status = -26
	errInternal     status = -30
	errNoAccess     status = -31
	errNotThere     status = -32 // canERR_NOT_IMPLEMENTED
)

// statuses are what is known of each status: its name, what is wrong, and what to do.
var statuses = map[status]struct{ name, text, advice string }{
	errParam:        {"PARAM", "a parameter is wrong", "the adapter may not have this bit rate or mode"},
	errNoMessage:    {"NOMSG", "no message is there", ""},
	errNotFound:     {"NOTFOUND", "there is no such channel", "is the adapter plugged in?"},
	-4:              {"NOMEM", "out of memory", ""},
	-5:              {"NOCHANNELS", "no channel is free", "another program may have opened it for itself alone"},
	errTimeout:      {"TIMEOUT", "timed out", ""},
	-8:              {"NOTINITIALIZED", "the library is not initialized", "install Kvaser's drivers anew"},
	-9:              {"NOHANDLES", "too many handles are open", ""},
	errInvalid:      {"INVHANDLE", "the handle is no longer valid", ""},
	-12:             {"DRIVER", "the adapter has no such mode", "not every adapter can listen only"},
	errTxBufOfl:     {"TXBUFOFL", "the queue of frames to send is full", "does a node acknowledge the frames?"},
	errHardware:     {"HARDWARE", "the adapter has failed or does not answer", "plug it in again"},
	-16:             {"DYNALOAD", "a part of the library cannot be loaded", "install Kvaser's drivers anew"},
	-17:             {"DYNALIB", "a part of the library has another version", "install Kvaser's drivers anew"},
	-18:             {"DYNAINIT", "a part of the library cannot be initialized", "install Kvaser's drivers anew"},
	errNotSupported: {"NOT_SUPPORTED", "the adapter does not have it", ""},
	-23:             {"DRIVERLOAD", "the adapter's driver cannot be loaded", "install Kvaser's drivers anew"},
	-24:             {"DRIVERFAILED", "the adapter's driver has failed", "plug the adapter in again"},
	errNoCard:       {"NOCARD", "the adapter was unplugged", ""},
	-28:             {"REGISTRY", "the registry has no valid settings for it", "install Kvaser's drivers anew"},
	-29:             {"LICENSE", "the licence is missing", ""},
	errInternal:     {"INTERNAL", "an internal error of the library", ""},
	errNoAccess:     {"NO_ACCESS", "another program has set the channel up", "end that program, or use its bit rate"},
	errNotThere:     {"NOT_IMPLEMENTED", "this version of the library does not have it", "install a newer version of Kvaser's drivers"},
}

// An Error is how a function of CANlib has failed.
type Error struct {
	Call string // "canOpenChannel"
	Code int    // below 0: one of CANlib's canERR codes
}

func (e *Error) Error() string {
	s, known := statuses[status(e.Code)]
	if !known {
		return fmt.Sprintf("%s fails with canlib's code %d", e.Call, e.Code)
	}
	text := fmt.Sprintf("%s: %s (canERR_%s, %d)", e.Call, s.text, s.name, e.Code)
	if s.advice != "" {
		text += ": " + s.advice
	}
	return text
}

// failed returns the error of a call; nil if the status says that all is well.
func failed(call string, s status) error {
	if s >= ok {
		return nil
	}
	return &Error{call, int(s)}
}

// fatal reports whether a status says that the channel is of no more use.
func (s status) fatal() bool {
	switch s {
	case errNoCard, errHardware, errInvalid, errNotFound, -8, -24:
		return true
	}
	return false
}

// A waiter waits for something to happen to a handle.
type waiter interface {
	// wait returns when something may have happened since it last returned, or after wake,
	// or after that time.
	wait(time.Duration) status
	// wake ends the wait under way, or the next one. It may be called at any time before close.
	wake()
	close()
}
