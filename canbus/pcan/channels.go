package pcan

import (
	"bytes"
	"fmt"
	"strings"
)

// A Channel is a channel of an adapter that is attached.
type Channel struct {
	Name        string // as Open takes it, and names of buses have it behind pcan:
	Description string // what it is a channel of: PCAN-USB Pro FD, device 16, controller 1
	InUse       bool   // a program has it open
	FD          bool   // it has CAN FD
}

// Channels returns the channels that are attached. Without PEAK's library, or MacCAN's, it
// returns an error that is fs.ErrNotExist to errors.Is, and on systems on which this package
// uses none, errors.ErrUnsupported.
func Channels() ([]Channel, error) {
	lib, err := load(false)
	if err != nil {
		return nil, fmt.Errorf("pcan: %w", err)
	}
	return channels(lib)
}

func channels(lib library) ([]Channel, error) {
	var count [4]byte
	switch s := lib.get(noChannel, paramAttachedCount, count[:]); {
	case s == statusIllParamType || s == statusIllParamVal:
		return probe(lib), nil // before version 4.4, and MacCAN's
	case s != statusOK:
		return nil, fmt.Errorf("pcan: list the channels: %w", s)
	}
	n := number(count[:])
	if n == 0 {
		return nil, nil
	}
	list := make([]byte, min(n, 1000)*channelInfoLen)
	if s := lib.get(noChannel, paramAttached, list); s != statusOK {
		return nil, fmt.Errorf("pcan: list the channels: %w", s)
	}
	var all []Channel
	for len(list) > 0 {
		all = append(all, parseChannelInfo(list[:channelInfoLen]))
		list = list[channelInfoLen:]
	}
	return all, nil
}

// parseChannelInfo reads TPCANChannelInformation: the handle (2 bytes), the kind of device,
// the number of the controller, the features (4), the name (33, and 3 of padding), the
// device's number (4) and the condition (4).
func parseChannelInfo(b []byte) Channel {
	return Channel{
		Name:        channelName(uint16(b[0]) | uint16(b[1])<<8),
		Description: describe(b[8:8+hardwareNameLen], number(b[44:]), b[3]),
		InUse:       number(b[48:])&conditionOccupied != 0,
		FD:          number(b[4:])&featureFD != 0,
	}
}

func describe(name []byte, device uint32, controller uint8) string {
	name, _, _ = bytes.Cut(name, []byte{0})
	return fmt.Sprintf("%s, device %d, controller %d", strings.ToValidUTF8(string(name), "?"), device, controller)
}

// probe asks for every channel that there may be. Those that cannot be plugged in and out,
// ISA and DNG, are said to be there always, and are left out.
func probe(lib library) (all []Channel) {
	for i := range families {
		f := &families[i]
		if f.name == "ISA" || f.name == "DNG" {
			continue
		}
		for n := 1; n <= f.count; n++ {
			handle := f.handle(n)
			ask := func(p parameter) uint32 {
				var value [4]byte
				if lib.get(handle, p, value[:]) != statusOK {
					return 0
				}
				return number(value[:])
			}
			condition := ask(paramCondition)
			if condition == 0 {
				continue
			}
			var name [hardwareNameLen]byte
			lib.get(handle, paramHardwareName, name[:])
			all = append(all, Channel{
				Name:        channelName(handle),
				Description: describe(name[:], ask(paramDeviceID), uint8(ask(paramController))),
				InUse:       condition&conditionOccupied != 0,
				FD:          ask(paramFeatures)&featureFD != 0,
			})
		}
	}
	return all
}
