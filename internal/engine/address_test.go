package engine

import (
	"fmt"
	"testing"

	"example.com/isotp/internal/wire"
)

func TestSevenAddressingModes(t *testing.T) {
	for _, mode := range []struct {
		name         string
		send, listen wire.Address
		ahead, heard string // the address byte
	}{
		{"normal, 11 bit", wire.Address{ID: 0x7E0}, wire.Address{ID: 0x7E8}, "", ""},
		{"normal, 29 bit", wire.Address{ID: 0x18DAF110, Extended: true}, wire.Address{ID: 0x18DA10F1, Extended: true}, "", ""},
		{"normal fixed, 29 bit", wire.Address{ID: 0x18DA10F1, Extended: true}, wire.Address{ID: 0x18DAF110, Extended: true, Open: wire.OpenPriority}, "", ""},
		{"extended, 11 bit", wire.Address{ID: 0x641, HasByte: true, Byte: 0x55}, wire.Address{ID: 0x642, HasByte: true, Byte: 0xF1}, "55", "F1"},
		{"extended, 29 bit", wire.Address{ID: 0x18000641, Extended: true, HasByte: true, Byte: 0x55}, wire.Address{ID: 0x18000642, Extended: true, HasByte: true, Byte: 0xF1}, "55", "F1"},
		{"mixed, 11 bit", wire.Address{ID: 0x641, HasByte: true, Byte: 0x99}, wire.Address{ID: 0x642, HasByte: true, Byte: 0x99}, "99", "99"},
		{"mixed, 29 bit", wire.Address{ID: 0x18CE10F1, Extended: true, HasByte: true, Byte: 0x99}, wire.Address{ID: 0x18CEF110, Extended: true, Open: wire.OpenPriority, HasByte: true, Byte: 0x99}, "99", "99"},
	} {
		t.Run(mode.name, func(t *testing.T) {
			for _, size := range []int{8, 12, 64} {
				s := newScriptBetween(t, mode.send, mode.listen, func(c *Config) { c.FD, c.FrameSize = size > 8, size })
				lead, heardLead := mode.ahead, mode.heard
				if lead != "" {
					lead, heardLead = lead+" ", heardLead+" "
				}
				// The longest Single Frame and the shortest segmented message.
				n := wire.MaxSingle(size, mode.send.Overhead())
				if size == 8 {
					s.send(n).sends(fmt.Sprintf("%s%02X %s", lead, n, text(message1(n)))).done(OK)
					s.hears(fmt.Sprintf("%s%02X %s", heardLead, n, text(message1(n)))).readsMessage(n)
				} else {
					s.send(n).sends(fmt.Sprintf("%s00 %02X %s", lead, n, text(message1(n)))).done(OK)
					s.hears(fmt.Sprintf("%s00 %02X %s", heardLead, n, text(message1(n)))).readsMessage(n)
				}
				f, heard := frames1(size, mode.ahead, n+1), frames1(size, mode.heard, n+1)
				s.send(n + 1).sends(f[0]).hears(heardLead + "30 00 00").sends(f[1:]...).done(OK)
				fc := lead + "30 00 00 CC CC CC CC CC"
				s.hears(heard[0]).sends(fc[:8*3-1]).hears(heard[1:]...).readsMessage(n + 1)
				// One byte less in a First Frame is ignored.
				s.hears(heardLead + fmt.Sprintf("10 %02X ", n) + text(make([]byte, size-2-mode.listen.Overhead()))).idle()
				// A longer one, with and without the 32-bit FF_DL.
				for _, n := range []int{1000, 4095, 4096} {
					f, heard := frames1(size, mode.ahead, n), frames1(size, mode.heard, n)
					s.send(n).sends(f[0]).hears(heardLead + "30 00 00").sends(f[1:]...).done(OK)
					s.hears(heard[0]).sends(fc[:8*3-1]).hears(heard[1:]...).readsMessage(n)
				}
				// A frame with the address byte alone is ignored.
				if mode.heard != "" {
					s.hears(mode.heard).counts(InvalidFrame, 2)
				}
			}
		})
	}
}
