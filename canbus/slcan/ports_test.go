package slcan

import (
	"slices"
	"testing"
)

func TestWhichPortsLookLikeAdapters(t *testing.T) {
	got := portsOf([]usbPort{
		{"/dev/ttyUSB1", "1a86", "7523", "USB Serial", ""},
		{"/dev/ttyUSB0", "0403", "FFA8", "CANUSB", "LW1"},
		{"/dev/ttyACM3", "16d0", "117e", "CANable2 b158aa7 github.com/normaldotcom/canable2.git", "207D"},
		{"/dev/ttyACM2", "ad50", "60c4", "", ""},
		{"/dev/ttyACM1", "1546", "01a7", "u-blox 7 - GPS/GNSS Receiver", ""},
		{"/dev/ttyACM0", "2341", "0043", "Arduino Uno", ""},
		{"COM7", "0483", "5740", "USB-CAN Adapter", ""},
		{"COM8", "FFFF", "0001", "Scanner", ""},
	})
	want := []Port{
		{Name: "/dev/ttyACM2", Adapter: "CANable or CANtact"},
		{Name: "/dev/ttyACM3", Adapter: "CANable 2", SerialNumber: "207D", FD: true},
		{Name: "/dev/ttyUSB0", Adapter: "Lawicel CANUSB", SerialNumber: "LW1"},
		{Name: "COM7", Adapter: "USB-CAN Adapter"},
		{Name: "/dev/ttyACM0", Adapter: "Arduino", Perhaps: true},
		{Name: "/dev/ttyUSB1", Adapter: "CH340", Perhaps: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("ports %+v, want %+v", got, want)
	}
}

func TestPortsOfASystemThatTellsNamesOnly(t *testing.T) {
	got := portsOf(portsByName([]string{
		"/dev/tty.usbmodem1101", "/dev/cu.usbmodem1101", "/dev/cu.Bluetooth-Incoming-Port", "/dev/cuaU0", "/dev/cuau0",
	}))
	want := []Port{
		{Name: "/dev/cu.usbmodem1101", Adapter: unknownUSB, Perhaps: true},
		{Name: "/dev/cuaU0", Adapter: unknownUSB, Perhaps: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("ports %+v, want %+v", got, want)
	}
}
