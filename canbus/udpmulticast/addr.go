package udpmulticast

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"example.com/isotp/canbus/internal/errno"
	"example.com/isotp/canbus/internal/line"
	"example.com/isotp/internal/netns"
)

// An address is what a bus's name says.
type address struct {
	group   netip.AddrPort // without a zone
	ifi     string         // the interface's name; "" for the system's choice
	bitrate int            // as in Options
}

func parseAddress(s string) (a address, err error) {
	hostport, rate, limited := strings.Cut(s, "@")
	if limited {
		if a.bitrate, err = line.ParseBitrate(rate); err != nil {
			return a, fmt.Errorf("udpmulticast: %q: %w", s, err)
		}
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return a, fmt.Errorf("udpmulticast: %q is not GROUP:PORT, as 239.74.163.2:43113 or [ff15::1]:43113: %w", s, err)
	}
	host, a.ifi, _ = strings.Cut(host, "%")
	group, err := netip.ParseAddr(host)
	if err != nil || !group.IsMulticast() || group.Is4In6() {
		return a, fmt.Errorf("udpmulticast: %q in %q is not a multicast address (224.0.0.0 to 239.255.255.255, or ff00::/8)", host, s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return a, fmt.Errorf("udpmulticast: port %q in %q is not from 1 to 65535", port, s)
	}
	a.group = netip.AddrPortFrom(group, uint16(n))
	return a, nil
}

// identity returns a text that no other bus has: a group is another one in each network
// namespace, and an interface is named by its index.
func identity(name string) string {
	a, err := parseAddress(name)
	if err != nil {
		return "udp:" + name
	}
	in := netns.Current()
	if a.ifi != "" {
		in = netns.Interface(a.ifi)
	}
	return fmt.Sprintf("udp:%v@%d in %s", a.group, a.bitrate, in)
}

// network returns the network of package net for the group's family.
func (a *address) network() string {
	if a.group.Addr().Is4() {
		return "udp4"
	}
	return "udp6"
}

// openError returns the error of a bus that cannot be opened. If the system has no route to
// the group, it says how to make one.
func (a *address) openError(what string, err error) error {
	hint := ""
	if errno.Is(err, syscall.ENODEV, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL) {
		hint = fmt.Sprintf(" (there is no route to this group: %s)", a.route())
	}
	return fmt.Errorf("udpmulticast: %s %v: %w%s", what, a, err, hint)
}

// route says how to get a route to the group.
func (a *address) route() string {
	named := func(ifi string) string {
		b := *a
		b.ifi = ifi
		return "udp:" + b.String()
	}
	switch {
	case a.group.Addr().Is4() && a.ifi == "":
		return "name an interface, as " + named("lo") + " for this computer alone, or ip route add 224.0.0.0/4 dev eth0"
	case a.group.Addr().Is4():
		return "ip route add 224.0.0.0/4 dev " + a.ifi
	case a.ifi == "":
		return "name an interface, as " + named("eth0") + ", or for this computer alone ip -6 route add local ff00::/8 dev lo"
	case a.ifi == "lo":
		return "ip -6 route add local ff00::/8 dev lo"
	}
	return "ip -6 route add multicast ff00::/8 dev " + a.ifi + " table local"
}

// String is the address as in a name, without the bit rate.
func (a *address) String() string {
	host := a.group.Addr().String()
	if a.ifi != "" {
		host += "%" + a.ifi
	}
	return net.JoinHostPort(host, strconv.Itoa(int(a.group.Port())))
}

// local returns the interface and one of its addresses, of the group's family. It returns
// nil and nil if the system is to choose.
func (a *address) local() (*net.Interface, *net.UDPAddr, error) {
	if a.ifi == "" {
		return nil, nil, nil
	}
	ifi, err := net.InterfaceByName(a.ifi)
	if err != nil {
		return nil, nil, fmt.Errorf("udpmulticast: interface %q: %w (%w)", a.ifi, syscall.ENODEV, err)
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		return nil, nil, fmt.Errorf("udpmulticast: interface %q: %w", a.ifi, err)
	}
	for _, addr := range addrs {
		ip, ok := addr.(*net.IPNet)
		if !ok || (ip.IP.To4() != nil) != a.group.Addr().Is4() {
			continue
		}
		local := &net.UDPAddr{IP: ip.IP}
		if ip.IP.IsLinkLocalUnicast() && ip.IP.To4() == nil {
			local.Zone = ifi.Name
		}
		return ifi, local, nil
	}
	return nil, nil, fmt.Errorf("udpmulticast: interface %q has no address of the family of %v", a.ifi, a.group.Addr())
}
