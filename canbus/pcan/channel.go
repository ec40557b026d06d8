package pcan

import (
	"fmt"
	"strconv"
	"strings"
)

// A family is the channels of one kind of hardware.
type family struct {
	name  string
	count int
	// first is the handle of the first channel, and ninth that of the ninth, where there
	// are so many: handles had one byte once.
	first, ninth uint16
}

var families = []family{
	{"USB", 16, 0x51, 0x509},
	{"PCI", 16, 0x41, 0x409},
	{"LAN", 16, 0x801, 0x809},
	{"PCC", 2, 0x61, 0},
	{"ISA", 8, 0x21, 0},
	{"DNG", 1, 0x31, 0},
}

// handle returns the handle of the n-th channel, from 1.
func (f *family) handle(n int) uint16 {
	if n > 8 {
		return f.ninth + uint16(n-9)
	}
	return f.first + uint16(n-1)
}

// parseChannel returns the handle of a channel, and its name as this package writes it. A
// name is USB1, in small letters, too, or as PEAK's documents have it, PCAN_USBBUS1.
func parseChannel(s string) (handle uint16, name string, err error) {
	short := strings.Replace(strings.TrimPrefix(strings.ToUpper(s), "PCAN_"), "BUS", "", 1)
	for i := range families {
		f := &families[i]
		digits, ok := strings.CutPrefix(short, f.name)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || n > f.count || digits[0] == '0' {
			return 0, "", fmt.Errorf("channel %q is not %s1 to %s%d", s, f.name, f.name, f.count)
		}
		return f.handle(n), short, nil
	}
	return 0, "", fmt.Errorf("channel %q is not one as USB1, PCI1, LAN1, PCC1, ISA1 or DNG1", s)
}

// channelName is the name of a handle; its number where there is none.
func channelName(handle uint16) string {
	for i := range families {
		f := &families[i]
		for n := 1; n <= f.count; n++ {
			if f.handle(n) == handle {
				return fmt.Sprint(f.name, n)
			}
		}
	}
	return fmt.Sprintf("%#x", handle)
}
