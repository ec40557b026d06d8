package kvaser

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// A Channel is one that CANlib knows: of an adapter that is plugged in, or a virtual one.
type Channel struct {
	// Name is what stands behind "kvaser:" in the name of its bus: "0" for "kvaser:0@500000".
	Name string
	// Description names the adapter for people, with its serial number.
	Description string
	// Product is the adapter's product number (UPC), as "73-30130-00685-0"; "" if it is not known.
	Product string
	// InUse: a program has the channel on its bus, this one perhaps.
	InUse bool
	// FD: it carries CAN FD frames.
	FD bool
	// Virtual: it is no adapter's. All virtual channels of a pair are on one bus within this
	// computer.
	Virtual bool
}

// Channels returns the channels that CANlib knows, in the order of their numbers. Without CANlib
// it returns an error that is fs.ErrNotExist to errors.Is, and on other systems than Windows
// errors.ErrUnsupported; it says what to do.
func Channels() ([]Channel, error) {
	lib, err := load()
	if err != nil {
		return nil, err
	}
	return channels(lib)
}

func channels(lib library) ([]Channel, error) {
	n, s := lib.numberOfChannels()
	if err := failed("canGetNumberOfChannels", s); err != nil {
		return nil, fmt.Errorf("kvaser: %w", err)
	}
	list := make([]Channel, 0, n)
	for i := range n {
		c, _ := describe(lib, i)
		list = append(list, c)
	}
	return list, nil
}

// describe asks CANlib about a channel. What it does not tell is left out; the error is why it does
// not tell anything.
func describe(lib library, number int) (c Channel, err error) {
	var buf [80]byte
	ask := func(item int32, size int) []byte {
		clear(buf[:])
		if s := lib.channelData(number, item, buf[:size]); s < ok {
			clear(buf[:])
			if item == itemChannelCap {
				err = failed("canGetChannelData", s)
			}
		}
		return buf[:size]
	}
	c.Name = strconv.Itoa(number)
	capabilities := binary.LittleEndian.Uint32(ask(itemChannelCap, 4))
	c.FD, c.Virtual = capabilities&capFD != 0, capabilities&capVirtual != 0
	c.InUse = binary.LittleEndian.Uint32(ask(itemChannelFlags, 4))&(channelIsExclusive|channelIsOpen) != 0
	c.Product = product(ask(itemCardUPC, 8))

	text, _, _ := bytes.Cut(ask(itemDescription, len(buf)-1), []byte{0})
	c.Description = strings.TrimSpace(strings.ToValidUTF8(string(text), "?"))
	if c.Description == "" {
		c.Description = "Kvaser adapter"
	}
	if serial := binary.LittleEndian.Uint64(ask(itemCardSerial, 8)); serial != 0 {
		c.Description += fmt.Sprintf(", serial number %d", serial)
	}
	c.Description += fmt.Sprintf(", its channel %d", 1+binary.LittleEndian.Uint32(ask(itemNumberOnCard, 4)))
	return c, err
}

// product writes a product number as it stands on the adapter. It is 13 digits in BCD, the
// lowest first; "" if it is none.
func product(bcd []byte) string {
	digits := make([]byte, 0, 16)
	for i := len(bcd) - 1; i >= 0; i-- {
		digits = append(digits, '0'+bcd[i]>>4, '0'+bcd[i]&15)
	}
	for _, d := range digits {
		if d > '9' {
			return ""
		}
	}
	s := string(digits[3:])
	if strings.Trim(s, "0") == "" {
		return ""
	}
	return s[:2] + "-" + s[2:7] + "-" + s[7:12] + "-" + s[12:]
}
