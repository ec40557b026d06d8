package udpmulticast

import (
	"errors"
	"fmt"
	"time"

	"example.com/isotp/canbus"
	"github.com/tinylib/msgp/msgp"
)

// The keys of a message, in the order in which python-can writes them.
const (
	keyTimestamp  = "timestamp"
	keyID         = "arbitration_id"
	keyExtended   = "is_extended_id"
	keyRemote     = "is_remote_frame"
	keyErrorFrame = "is_error_frame"
	keyChannel    = "channel"
	keyLen        = "dlc" // the number of bytes, and not a DLC
	keyData       = "data"
	keyFD         = "is_fd"
	keyBRS        = "bitrate_switch"
	keyESI        = "error_state_indicator"

	keys = 11
)

// maxMessage is more than the longest message of python-can needs.
const maxMessage = 512

// appendMessage appends a frame as python-can packs it.
func appendMessage(b []byte, f *canbus.Frame, now time.Time) []byte {
	b = msgp.AppendMapHeader(b, keys)
	b = msgp.AppendString(b, keyTimestamp)
	b = msgp.AppendFloat64(b, float64(now.UnixNano())/1e9)
	b = msgp.AppendString(b, keyID)
	b = msgp.AppendUint32(b, f.ID)
	b = appendBool(b, keyExtended, f.Has(canbus.Extended))
	b = appendBool(b, keyRemote, f.Has(canbus.Remote))
	b = appendBool(b, keyErrorFrame, f.Has(canbus.ErrorFrame))
	b = msgp.AppendString(b, keyChannel)
	b = msgp.AppendNil(b)
	b = msgp.AppendString(b, keyLen)
	b = msgp.AppendUint(b, uint(f.Len))
	b = msgp.AppendString(b, keyData)
	if f.Has(canbus.Remote) {
		b = msgp.AppendBytes(b, nil)
	} else {
		b = msgp.AppendBytes(b, f.Payload())
	}
	b = appendBool(b, keyFD, f.Has(canbus.FD))
	b = appendBool(b, keyBRS, f.Has(canbus.BRS))
	return appendBool(b, keyESI, f.Has(canbus.ESI))
}

func appendBool(b []byte, key string, v bool) []byte {
	return msgp.AppendBool(msgp.AppendString(b, key), v)
}

// parseMessage reads a message with the keys in any order. Keys that are missing have
// python-can's defaults. It leaves out the timestamp, because the sender's clock is not ours.
func parseMessage(b []byte) (f canbus.Frame, err error) {
	count, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return f, err
	}
	f.Flags = canbus.Extended
	var data []byte
	length := -1
	for range count {
		var key []byte
		if key, b, err = msgp.ReadStringZC(b); err != nil {
			return f, err
		}
		flag := canbus.Flags(0)
		switch string(key) {
		case keyID:
			f.ID, b, err = msgp.ReadUint32Bytes(b)
		case keyLen:
			length, b, err = readLen(b)
		case keyData:
			data, b, err = readData(b)
		case keyExtended:
			flag = canbus.Extended
		case keyRemote:
			flag = canbus.Remote
		case keyErrorFrame:
			flag = canbus.ErrorFrame
		case keyFD:
			flag = canbus.FD
		case keyBRS:
			flag = canbus.BRS
		case keyESI:
			flag = canbus.ESI
		default:
			b, err = msgp.Skip(b)
		}
		if flag != 0 && err == nil {
			var on bool
			on, b, err = msgp.ReadBoolBytes(b)
			f.Flags &^= flag
			if on {
				f.Flags |= flag
			}
		}
		if err != nil {
			return f, fmt.Errorf("%s: %w", key, err)
		}
	}
	if len(b) > 0 {
		return f, fmt.Errorf("%d bytes after the message", len(b))
	}
	return f, complete(&f, data, length)
}

// complete puts the data in and checks the frame. length is -1 if it was not told.
func complete(f *canbus.Frame, data []byte, length int) error {
	if length < 0 {
		length = len(data)
	}
	switch {
	case length > canbus.MaxLen || len(data) > canbus.MaxLen:
		return fmt.Errorf("%d bytes, dlc %d (at most %d)", len(data), length, canbus.MaxLen)
	case f.Has(canbus.Remote) && len(data) > 0:
		return errors.New("a remote frame with data")
	case !f.Has(canbus.Remote) && length != len(data):
		return fmt.Errorf("dlc %d, but %d bytes", length, len(data))
	}
	f.Len = uint8(length)
	copy(f.Data[:], data)
	checked := *f
	if f.Has(canbus.ErrorFrame) { // check it like an extended frame with up to 8 bytes
		checked.Flags = checked.Flags&^canbus.ErrorFrame | canbus.Extended
	}
	return checked.Validate()
}

func readLen(b []byte) (int, []byte, error) {
	if msgp.NextType(b) == msgp.NilType {
		b, err := msgp.ReadNilBytes(b)
		return -1, b, err
	}
	n, b, err := msgp.ReadUint8Bytes(b)
	return int(n), b, err
}

func readData(b []byte) (data, rest []byte, err error) {
	if msgp.NextType(b) == msgp.NilType {
		b, err = msgp.ReadNilBytes(b)
		return nil, b, err
	}
	return msgp.ReadBytesZC(b)
}
