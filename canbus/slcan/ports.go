package slcan

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.bug.st/serial"
)

// A Port is a serial port that may be an adapter's. Only an adapter's answers can tell: Open asks.
type Port struct {
	// Name is what stands behind "slcan:" in the name of its bus: "/dev/ttyACM0" for
	// "slcan:/dev/ttyACM0@500000".
	Name string
	// Adapter is what the port says it is, as "CANable 2".
	Adapter string
	// Perhaps: Adapter is a chip or a board that is in many other devices, too.
	Perhaps bool
	// SerialNumber is the USB device's; "" if it is not known.
	SerialNumber string
	// FD: the adapter carries CAN FD frames.
	FD bool
	// InUse: a program has the port open. Only Linux tells, and to a user other than root only
	// of the user's own programs.
	InUse bool
}

// Ports returns the serial ports that may be adapters', those that most likely are first. It
// opens none.
func Ports() ([]Port, error) {
	found, err := usbPorts()
	if err != nil {
		names, err := serial.GetPortsList()
		if err != nil {
			return nil, fmt.Errorf("slcan: list the serial ports: %w", err)
		}
		found = portsByName(names)
	}
	list := portsOf(found)
	markInUse(list)
	return list, nil
}

// A usbPort is a serial port of USB, and what the system says of it.
type usbPort struct {
	name     string
	vid, pid string // "" if they are not known; four digits, in upper or lower case
	product  string
	serial   string
}

// known are adapters, and what Arduinos and the like have, by their USB ids.
var known = []struct {
	vid, pid string // pid "": any
	adapter  string
	fd       bool
	perhaps  bool
}{
	// github.com/normaldotcom/canable-fw, and github.com/linklayer/cantact-fw before it
	{vid: "AD50", pid: "60C4", adapter: "CANable or CANtact"},
	// github.com/normaldotcom/canable2-fw; the firmware 2.5 of ElmueSoft has it, too
	{vid: "16D0", pid: "117E", adapter: "CANable 2", fd: true},
	// drivers/usb/serial/ftdi_sio_ids.h of Linux
	{vid: "0403", pid: "FFA8", adapter: "Lawicel CANUSB"},
	// www.fischl.de/usbtin, which has the id of Microchip's samples
	{vid: "04D8", pid: "000A", adapter: "USBtin", perhaps: true},

	{vid: "0483", pid: "5740", adapter: "STM32", perhaps: true},
	{vid: "2341", adapter: "Arduino", perhaps: true},
	{vid: "2A03", adapter: "Arduino", perhaps: true},
	{vid: "1A86", pid: "7523", adapter: "CH340", perhaps: true},
	{vid: "1A86", pid: "55D4", adapter: "CH9102", perhaps: true},
	{vid: "10C4", pid: "EA60", adapter: "CP210x", perhaps: true},
	{vid: "0403", pid: "6001", adapter: "FT232", perhaps: true},
	{vid: "0403", pid: "6015", adapter: "FT230X", perhaps: true},
	{vid: "16C0", pid: "0483", adapter: "Teensy", perhaps: true},
	{vid: "2E8A", adapter: "Raspberry Pi Pico", perhaps: true},
	{vid: "303A", adapter: "ESP32", perhaps: true},
}

// saysCAN are the names of products that say themselves that they are adapters.
var saysCAN = regexp.MustCompile(`(?i)slcan|canable|cantact|usbtin|canusb|usb[-_ ]?2?[-_ ]?can|\bCAN\b`)

// unknownUSB is the adapter of a port of which the system tells only that it is USB's.
const unknownUSB = "USB serial port"

// portsOf returns those ports that may be adapters'.
func portsOf(found []usbPort) []Port {
	var list []Port
	for _, u := range found {
		p := Port{Name: u.name, SerialNumber: u.serial}
		if u.vid == "" {
			p.Adapter, p.Perhaps = unknownUSB, true
		}
		for _, k := range known {
			if strings.EqualFold(u.vid, k.vid) && (k.pid == "" || strings.EqualFold(u.pid, k.pid)) {
				p.Adapter, p.FD, p.Perhaps = k.adapter, k.fd, k.perhaps
				break
			}
		}
		if (p.Adapter == "" || p.Perhaps) && saysCAN.MatchString(u.product) {
			p.Adapter, p.Perhaps = u.product, false
		}
		if p.Adapter != "" {
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b Port) int {
		if a.Perhaps != b.Perhaps {
			if b.Perhaps {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return list
}

// usbName are names that USB's serial ports have where no ids are known: macOS and the BSDs.
var usbName = regexp.MustCompile(`/(cu\.(usb|wchusb|SLAB)|ttyU|cuaU|dtyU)`)

// portsByName returns the ports of USB of a system that tells their names only.
func portsByName(names []string) []usbPort {
	var list []usbPort
	for _, name := range names {
		if usbName.MatchString(name) {
			list = append(list, usbPort{name: name})
		}
	}
	return list
}
