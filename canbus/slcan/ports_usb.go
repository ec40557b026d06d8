//go:build linux || windows

package slcan

import "go.bug.st/serial/enumerator"

// usbPorts returns the serial ports of USB.
func usbPorts() ([]usbPort, error) {
	details, err := enumerator.GetDetailedPortsList()
	if err != nil {
		return nil, err
	}
	var list []usbPort
	for _, d := range details {
		if d.IsUSB {
			list = append(list, usbPort{d.Name, d.VID, d.PID, d.Product, d.SerialNumber})
		}
	}
	return list, nil
}
