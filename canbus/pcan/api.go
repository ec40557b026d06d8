package pcan

import (
	"fmt"
	"strings"
	"time"
)

// The constants and layouts of PCAN-Basic, as PEAK's documentation of the interface has them
// (docs.peak-system.com/API/PCAN-Basic.Net, documentation.help/PCAN-Basic), and as
// python-can's can/interfaces/pcan/basic.py uses them.

// A status is what each function returns: bits, of which several may be set, except that
// those of handleErrors are one number.
type status uint32

const (
	statusOK           status = 0
	statusXmtFull      status = 0x00001   // the controller's transmit buffer is full
	statusOverrun      status = 0x00002   // the controller was read too late
	statusBusLight     status = 0x00004   // classic: the error counters have passed the warning limit
	statusBusHeavy     status = 0x00008   // classic: error passive; CAN FD: warning
	statusBusOff       status = 0x00010   //
	statusRcvEmpty     status = 0x00020   // the receive queue is empty
	statusQueueOverrun status = 0x00040   // the receive queue was read too late
	statusQueueFull    status = 0x00080   // the transmit queue is full
	statusHwInUse      status = 0x00400   // a handle error, as the next four
	statusNetInUse     status = 0x00800   //
	statusIllHw        status = 0x01400   // no such hardware, or no longer
	statusIllNet       status = 0x01800   //
	statusIllClient    status = 0x01C00   //
	statusIllParamType status = 0x04000   // the parameter is not supported
	statusIllParamVal  status = 0x08000   //
	statusIllData      status = 0x20000   // the frame is not of a kind that the channel carries
	statusBusPassive   status = 0x40000   // CAN FD: error passive
	statusCaution      status = 0x2000000 // done, but otherwise than asked
	statusInitialize   status = 0x4000000 // not initialised, or already
	statusIllOperation status = 0x8000000 //

	handleErrors status = 0x01C00

	anyBus     = statusBusLight | statusBusHeavy | statusBusOff | statusBusPassive
	anyOverrun = statusOverrun | statusQueueOverrun
	anyFull    = statusXmtFull | statusQueueFull
	// tolerable are the bits with which a channel is still of use.
	tolerable = anyBus | anyOverrun | anyFull | statusRcvEmpty | statusCaution
)

// statusTexts are the bits, and the handle errors, in words.
var statusTexts = []struct {
	status status
	text   string
}{
	{statusXmtFull, "the controller's transmit buffer is full"},
	{statusOverrun, "the controller was read too late"},
	{statusBusLight, "bus error: light"},
	{statusBusHeavy, "bus error: heavy, or warning"},
	{statusBusOff, "bus-off"},
	{statusRcvEmpty, "the receive queue is empty"},
	{statusQueueOverrun, "the receive queue was read too late"},
	{statusQueueFull, "the transmit queue is full"},
	{0x00100, "the hardware fails its test"},
	{0x00200, "PEAK's device driver is not loaded"},
	{0x02000, "a resource cannot be created"},
	{statusIllParamType, "the parameter is not supported"},
	{statusIllParamVal, "a value is not valid"},
	{0x10000, "an unknown error"},
	{statusIllData, "the data, or the kind of frame, are not valid here"},
	{statusBusPassive, "bus error: passive"},
	{0x80000, "wrong mode"},
	{statusCaution, "done, with irregularities"},
	{statusInitialize, "the channel is not initialised, or is already"},
	{statusIllOperation, "the operation is not valid here"},
}

var handleTexts = map[status]string{
	statusHwInUse:   "the hardware is in use by another program",
	statusNetInUse:  "the channel is in use by another program",
	statusIllHw:     "there is no such hardware, or it was unplugged",
	statusIllNet:    "there is no such net",
	statusIllClient: "there is no such client",
}

func (s status) has(bits status) bool { return s&bits != 0 }

// usable reports whether the channel is still of use.
func (s status) usable() bool { return s&^tolerable == 0 }

// Error tells all that is wrong.
func (s status) Error() string {
	var list []string
	if text := handleTexts[s&handleErrors]; text != "" {
		list = append(list, text)
	}
	for _, x := range statusTexts {
		if s&^handleErrors&x.status != 0 {
			list = append(list, x.text)
		}
	}
	if list == nil {
		list = []string{"an error that this driver does not know"}
	}
	return fmt.Sprintf("%s (PCAN-Basic status %05Xh)", strings.Join(list, "; "), uint32(s))
}

// A parameter is what CAN_GetValue and CAN_SetValue are about.
type parameter uint8

const (
	paramDeviceID      parameter = 0x01
	paramReceiveEvent  parameter = 0x03
	paramBusOffReset   parameter = 0x07 // PCAN_BUSOFF_AUTORESET
	paramListenOnly    parameter = 0x08
	paramCondition     parameter = 0x0D // PCAN_CHANNEL_CONDITION
	paramHardwareName  parameter = 0x0E
	paramController    parameter = 0x10 // PCAN_CONTROLLER_NUMBER
	paramFeatures      parameter = 0x16 // PCAN_CHANNEL_FEATURES
	paramStatusFrames  parameter = 0x1E // PCAN_ALLOW_STATUS_FRAMES
	paramErrorFrames   parameter = 0x20 // PCAN_ALLOW_ERROR_FRAMES
	paramAttachedCount parameter = 0x2A // PCAN_ATTACHED_CHANNELS_COUNT
	paramAttached      parameter = 0x2B // PCAN_ATTACHED_CHANNELS
	paramEchoFrames    parameter = 0x2C // PCAN_ALLOW_ECHO_FRAMES
	featureFD                    = 0x01
	conditionOccupied            = 0x02
	hardwareNameLen              = 33
	channelInfoLen               = 52
	noChannel          uint16    = 0 // PCAN_NONEBUS
)

// The bits of a message's type.
const (
	kindRemote   = 0x01
	kindExtended = 0x02
	kindFD       = 0x04
	kindBRS      = 0x08
	kindESI      = 0x10
	kindEcho     = 0x20
	kindError    = 0x40
	kindStatus   = 0x80
)

// A message is TPCANMsg: 16 bytes, the last two of them padding.
type message struct {
	id   uint32
	kind uint8
	len  uint8
	data [8]byte
}

// A messageFD is TPCANMsgFD: 72 bytes, the last two of them padding.
type messageFD struct {
	id   uint32
	kind uint8
	dlc  uint8
	data [64]byte
}

// A timestamp is TPCANTimestamp. That of CAN FD is a number of microseconds.
type timestamp struct {
	millis         uint32
	millisOverflow uint16 // how often millis has begun anew
	micros         uint16 // below 1000
}

func (t timestamp) duration() time.Duration {
	millis := int64(t.millis) + int64(t.millisOverflow)<<32
	return time.Duration(millis)*time.Millisecond + time.Duration(t.micros)*time.Microsecond
}

// A library is PCAN-Basic, or MacCAN's PCBUSB: a method for each of its functions. They may
// be called by several goroutines at once.
type library interface {
	initialize(channel, btr0btr1 uint16) status
	initializeFD(channel uint16, timing string) status
	uninitialize(channel uint16) status
	reset(channel uint16) status
	status(channel uint16) status
	read(channel uint16, m *message, t *timestamp) status
	readFD(channel uint16, m *messageFD, micros *uint64) status
	write(channel uint16, m *message) status
	writeFD(channel uint16, m *messageFD) status
	get(channel uint16, p parameter, value []byte) status
	set(channel uint16, p parameter, value []byte) status
	// listen returns the receive event of a channel that is initialised.
	listen(channel uint16) (event, error)
}

// An event wakes the goroutine that reads a channel.
type event interface {
	// wait waits until a message has come since the last wait, or wake was called; for
	// that long at most.
	wait(d time.Duration)
	wake()
	close()
}
