package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// openTun makes a network interface that exists until the file is closed, and returns its name.
func openTun(name string, mtu int, ips []ipPrefix) (*os.File, string, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, "", usageErrorf("--name %q: it must have 1 to %d characters", name, unix.IFNAMSIZ-1)
	}
	const path = "/dev/net/tun"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		return nil, "", tunError(name, err)
	}
	// The runtime's poller takes the file only once it is an interface.
	file := os.NewFile(uintptr(fd), path)
	if err := setUpTun(request.Name(), mtu, ips); err != nil {
		file.Close()
		return nil, "", err
	}
	return file, request.Name(), nil
}

func tunError(name string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("make the interface %s: %w: it needs root, or CAP_NET_ADMIN", name, err)
	case errors.Is(err, unix.EBUSY):
		return usageErrorf("--name %s: there is an interface of that name", name)
	case errors.Is(err, unix.EINVAL):
		return usageErrorf("--name %s: it is not a name for an interface, as ctun0 or ctun%%d", name)
	}
	return fmt.Errorf("make the interface %s: %w", name, err)
}

// setUpTun sets the interface's MTU, and if it gets addresses, sets it up.
func setUpTun(name string, mtu int, ips []ipPrefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find the interface %s: %w", name, err)
	}
	if err := netlink.LinkSetMTU(link, mtu); err != nil {
		return fmt.Errorf("--mtu %d: %w", mtu, err)
	}
	for _, ip := range ips {
		network := &net.IPNet{IP: ip.Addr().AsSlice(), Mask: net.CIDRMask(ip.Bits(), ip.Addr().BitLen())}
		addr := &netlink.Addr{IPNet: network}
		if ip.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD // it can be used at once: there is one other end
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("--ip %v: %w", ip, err)
		}
	}
	if len(ips) == 0 {
		return nil
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set up the interface %s: %w", name, err)
	}
	return nil
}
