package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// mtuFD is the least MTU of an interface that carries CAN FD.
const mtuFD = 72

// haveInterfaces: this system has CAN interfaces.
const haveInterfaces = true

// arphrdCAN is what package netlink calls ARPHRD_CAN.
var arphrdCAN = fmt.Sprintf("unknown%d", unix.ARPHRD_CAN)

// canInterfaces lists the CAN interfaces of this network namespace.
func canInterfaces() ([]interfaceInfo, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	var list []interfaceInfo
	for _, link := range links {
		a := link.Attrs()
		if a.EncapType != arphrdCAN {
			continue
		}
		l := interfaceInfo{Name: a.Name, Kind: link.Type(), Driver: driverOf(a.Name), State: "down", FD: a.MTU >= mtuFD}
		if l.Driver == l.Kind { // the kernel's word for one without a driver
			l.Driver = ""
		}
		if a.Flags&net.FlagUp != 0 {
			l.State = "up"
		}
		if can, ok := link.(*netlink.Can); ok {
			l.Bitrate = can.BitRate
			if l.State == "up" {
				l.State = controllerState(can.State)
			}
		}
		list = append(list, l)
	}
	return list, nil
}

// driverOf returns the driver of an interface; "" if the kernel does not say.
func driverOf(name string) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(info.Driver[:])
}

// controllerState names an enum can_state.
func controllerState(state uint32) string {
	names := []string{"up", "up, error warning", "up, error passive", "bus-off", "stopped", "sleeping"}
	if int(state) < len(names) {
		return names[state]
	}
	return fmt.Sprintf("up, state %d", state)
}

// addVcan makes a virtual interface that carries CAN FD, and sets it up.
func addVcan(name string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = name, mtuFD
	link := &netlink.GenericLink{LinkAttrs: attrs, LinkType: "vcan"}
	if err := netlink.LinkAdd(link); err != nil {
		return explain(err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return errors.Join(explain(err), netlink.LinkDel(link))
	}
	return nil
}

// explain adds to an error of the kernel what it means where an interface is made.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: it needs root, or CAP_NET_ADMIN", err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w: this kernel has no virtual CAN interfaces (is there a module vcan?)", err)
	case errors.Is(err, unix.EEXIST):
		return usageErrorf("%w: there is an interface of that name", err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE):
		return usageErrorf("%w: a name has at most %d characters, no space and no slash", err, unix.IFNAMSIZ-1)
	}
	return err
}

// haveRaw returns why there are no CAN_RAW sockets, nil if there are.
func haveRaw() error {
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	if err != nil {
		return fmt.Errorf("no CAN_RAW sockets: %w", err)
	}
	return unix.Close(fd)
}
