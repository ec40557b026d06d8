package j2534

import "fmt"

// The constants and layouts of SAE J2534-1 version 04.04 (December 2004): messages are in its
// section 8, their flags in 8.7, and the registry in 9. Types that it calls unsigned long have
// 32 bits in libraries of 32 and of 64 bits. How libraries are used in practice is to be seen
// in Qt's plugin passthrucan, and what they do in the library of comma.ai's panda.

// A status is what each function returns.
type status uint32

const (
	ok                    status = 0x00
	errNotSupported       status = 0x01
	errInvalidChannelID   status = 0x02
	errFailed             status = 0x07
	errDeviceNotConnected status = 0x08
	errTimeout            status = 0x09 // not all of the messages, in the time given
	errInvalidMsg         status = 0x0A
	errDeviceInUse        status = 0x0E
	errBufferEmpty        status = 0x10 // no message to read
	errBufferFull         status = 0x11 // no room for all messages to send
	errBufferOverflow     status = 0x12 // messages were lost that had come
	errInvalidBaudrate    status = 0x19
	errInvalidDeviceID    status = 0x1A
)

// statuses are their names, and what they say in words.
var statuses = [...]struct{ name, text string }{
	errNotSupported:       {"NOT_SUPPORTED", "the adapter does not have it"},
	errInvalidChannelID:   {"INVALID_CHANNEL_ID", "the channel is no longer open"},
	0x03:                  {"INVALID_PROTOCOL_ID", "the adapter has no raw CAN, or not beside what it does already"},
	0x04:                  {"NULL_PARAMETER", "a parameter is missing"},
	0x05:                  {"INVALID_IOCTL_VALUE", "a value is not valid"},
	0x06:                  {"INVALID_FLAGS", "the flags are not valid"},
	errFailed:             {"FAILED", "it has failed"},
	errDeviceNotConnected: {"DEVICE_NOT_CONNECTED", "the adapter is not connected, or does not answer"},
	errTimeout:            {"TIMEOUT", "timed out"},
	errInvalidMsg:         {"INVALID_MSG", "the message is not valid"},
	0x0B:                  {"INVALID_TIME_INTERVAL", "the interval is not valid"},
	0x0C:                  {"EXCEEDED_LIMIT", "there is no room for more"},
	0x0D:                  {"INVALID_MSG_ID", "there is no such message"},
	errDeviceInUse:        {"DEVICE_IN_USE", "another program has the adapter open"},
	0x0F:                  {"INVALID_IOCTL_ID", "the library does not have it"},
	errBufferEmpty:        {"BUFFER_EMPTY", "no message is there"},
	errBufferFull:         {"BUFFER_FULL", "the buffer of messages to send is full"},
	errBufferOverflow:     {"BUFFER_OVERFLOW", "messages were lost"},
	0x13:                  {"PIN_INVALID", "the pin is not valid"},
	0x14:                  {"CHANNEL_IN_USE", "the adapter's CAN channel is in use"},
	0x15:                  {"MSG_PROTOCOL_ID", "the message is of another protocol than the channel"},
	0x16:                  {"INVALID_FILTER_ID", "there is no such filter"},
	0x17:                  {"NO_FLOW_CONTROL", "no filter of flow control is set"},
	0x18:                  {"NOT_UNIQUE", "a filter has the same identifier"},
	errInvalidBaudrate:    {"INVALID_BAUDRATE", "the adapter does not have this bit rate"},
	errInvalidDeviceID:    {"INVALID_DEVICE_ID", "the adapter is no longer open"},
}

// gone reports whether a status says that the channel is of no more use.
func (s status) gone() bool {
	return s == errDeviceNotConnected || s == errInvalidChannelID || s == errInvalidDeviceID
}

// An Error is how a function of an adapter's library has failed.
type Error struct {
	Call string // "PassThruConnect"
	Code int    // of SAE J2534-1, above 0
	Text string // what PassThruGetLastError says of it; "" for nothing
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s fails with code %#x", e.Call, e.Code)
	if e.Code > 0 && e.Code < len(statuses) {
		s := statuses[e.Code]
		text = fmt.Sprintf("%s: %s (ERR_%s, %#x)", e.Call, s.text, s.name, e.Code)
	}
	if e.Text != "" {
		text += fmt.Sprintf("; the library says: %q", e.Text)
	}
	return text
}

const (
	protocolCAN = 5

	connectIDBoth = 0x0800 // identifiers of 11 and of 29 bits

	passFilter = 1

	ioctlClearTx = 0x07
	ioctlClearRx = 0x08

	parameterLoopback = 0x03

	flagExtended = 0x0100 // of RxStatus and TxFlags: an identifier of 29 bits

	// Of RxStatus.
	flagLoopback   = 0x0001 // TX_MSG_TYPE: sent by this channel
	flagIndication = 0x000E // START_OF_MESSAGE, RX_BREAK and TX_INDICATION: no message
)

// A message is PASSTHRU_MSG: 4152 bytes.
type message struct {
	protocol  uint32
	rxStatus  uint32
	txFlags   uint32
	timestamp uint32 // in microseconds
	size      uint32 // of data
	extra     uint32
	data      [4128]byte // of CAN: the identifier, the most significant byte first, and up to 8 more
}

// A library is that of an adapter: a method for each of its functions that is used. All calls
// are on one thread.
type library interface {
	open() (device uint32, s status)
	close(device uint32) status
	connect(device, protocol, flags, bitrate uint32) (channel uint32, s status)
	disconnect(channel uint32) status
	// read and write return how many messages they have read or taken. With a time, in
	// milliseconds, read waits until all are there, or for that long.
	read(channel uint32, list []message, wait uint32) (int, status)
	write(channel uint32, list []message, wait uint32) (int, status)
	startFilter(channel, kind uint32, mask, pattern *message) status
	set(channel, parameter, value uint32) status // the Ioctl SET_CONFIG
	ioctl(channel, id uint32) status             // one without parameters
	version(device uint32) (firmware, library, api string, s status)
	lastError() string
}
