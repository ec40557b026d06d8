package cannelloni

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"example.com/isotp/canbus/internal/line"
)

// Port is the port of UDP and TCP that cannelloni uses if it is told no other.
const Port = 20000

// The transports.
const (
	transportUDP    = "udp"
	transportTCP    = "tcp"
	transportListen = "tcp-listen"
)

const (
	defaultMTU  = 1500 // cannelloni's own
	headersIPv4 = 20 + 8
	headersIPv6 = 40 + 8
	// minMTU has room for the longest frame; maxMTU is what IP can have.
	minMTU, maxMTU = headersIPv6 + headerLen + maxFrame, 1<<16 - 1
)

// An address is what a bus's name says.
type address struct {
	transport   string
	host        string // the peer's, or where to listen; "": all addresses of this computer
	port        uint16
	bitrate     int            // 0: the transport's own; line.None: at once
	dataBitrate int            // 0: as bitrate
	local       netip.AddrPort // UDP: where to receive; without an address: all of this computer
	mtu         int            // UDP
	anySource   bool           // UDP: take datagrams from any address
	from        string         // tcp-listen: the client's host; "": any
}

func parseAddress(s string) (*address, error) {
	a, err := parse(s)
	if err != nil {
		return nil, fmt.Errorf("cannelloni: %q: %w", s, err)
	}
	return a, nil
}

func parse(s string) (*address, error) {
	a := &address{local: netip.AddrPortFrom(netip.Addr{}, Port), mtu: defaultMTU}
	transport, rest, _ := strings.Cut(s, ":")
	a.transport = transport
	switch transport {
	case transportUDP, transportTCP, transportListen:
	default:
		return nil, fmt.Errorf("%q is not udp, tcp or tcp-listen, as udp:HOST:PORT", transport)
	}
	fields := strings.Split(rest, ",")
	hostport, rate, limited := strings.Cut(fields[0], "@")
	if err := a.parseHost(hostport); err != nil {
		return nil, err
	}
	if limited {
		var err error
		if a.bitrate, err = line.ParseBitrate(rate); err != nil {
			return nil, err
		}
	}
	for _, field := range fields[1:] {
		if err := a.parseOption(field); err != nil {
			return nil, err
		}
	}
	if a.dataBitrate > 0 && a.bitrate <= 0 {
		return nil, fmt.Errorf("data=%d without a bit rate, as @500000,data=2000000", a.dataBitrate)
	}
	return a, nil
}

// parseHost parses HOST, HOST:PORT, or where a server listens: PORT, HOST:PORT, or nothing.
func (a *address) parseHost(s string) (err error) {
	host, port := s, ""
	_, portErr := strconv.ParseUint(s, 10, 32)
	switch bare, literal := strings.CutPrefix(s, "["); {
	case a.transport == transportListen && portErr == nil:
		host, port = "", s
	case literal && strings.HasSuffix(bare, "]"):
		host = strings.TrimSuffix(bare, "]")
	case strings.Contains(s, ":"):
		if host, port, err = net.SplitHostPort(s); err != nil {
			return fmt.Errorf("%q is not HOST:PORT, as 192.168.0.2:20000 or [fe80::1%%eth0]:20000", s)
		}
	}
	if host == "" && a.transport != transportListen {
		return fmt.Errorf("no host (as %s:192.168.0.2:20000)", a.transport)
	}
	a.host, a.port = host, Port
	if port != "" {
		a.port, err = parsePort(port)
	}
	return err
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("port %q is not from 1 to 65535", s)
	}
	return uint16(n), nil
}

func (a *address) parseOption(field string) (err error) {
	udp := a.transport == transportUDP
	key, value, _ := strings.Cut(field, "=")
	switch {
	case key == "data":
		if a.dataBitrate, err = line.ParseBitrate(value); a.dataBitrate == line.None {
			err = fmt.Errorf("data=none (a bit rate, as data=2000000)")
		}
	case key == "local" && udp:
		a.local, err = parseLocal(value)
	case key == "mtu" && udp:
		if a.mtu, err = strconv.Atoi(value); err != nil || a.mtu < minMTU || a.mtu > maxMTU {
			err = fmt.Errorf("mtu %q is not from %d to %d", value, minMTU, maxMTU)
		}
	case field == "any" && udp:
		a.anySource = true
	case key == "from" && a.transport == transportListen:
		if a.from = value; value == "" {
			err = fmt.Errorf("from= without the client's host")
		}
	case udp:
		err = fmt.Errorf("%q is not data=BITRATE, local=ADDRESS:PORT, mtu=BYTES or any", field)
	case a.transport == transportListen:
		err = fmt.Errorf("%q is not data=BITRATE or from=HOST", field)
	default:
		err = fmt.Errorf("%q is not data=BITRATE", field)
	}
	return err
}

// parseLocal parses ADDRESS:PORT, :PORT or PORT.
func parseLocal(s string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = "", s
	}
	var addr netip.Addr
	if host != "" {
		if addr, err = netip.ParseAddr(host); err != nil {
			return netip.AddrPort{}, fmt.Errorf("local=%s: %q is not an address of this computer, as in local=192.168.0.3:20000 or local=:20000", s, host)
		}
	}
	n, err := parsePort(port)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("local=%s: %w", s, err)
	}
	return netip.AddrPortFrom(addr.Unmap(), n), nil
}

// hostport returns the host and the port as package net takes them.
func (a *address) hostport() string { return net.JoinHostPort(a.host, strconv.Itoa(int(a.port))) }

// String names the peer, or where a server listens.
func (a *address) String() string { return a.transport + ":" + a.hostport() }

// newLine returns the line that frames are sent on, with these bit rates if the name has none.
func (a *address) newLine(bitrate, dataBitrate int) line.Line {
	if a.bitrate != 0 {
		bitrate = max(a.bitrate, 0) // line.None is negative
		dataBitrate = bitrate
	}
	if a.dataBitrate != 0 {
		dataBitrate = a.dataBitrate
	}
	return line.Line{Bitrate: bitrate, DataBitrate: dataBitrate}
}

// resolve returns the peer of UDP: the first of the host's addresses in the family of the
// local address. If that says none, IPv4 goes first, as cannelloni has it.
func (a *address) resolve(ctx context.Context) (netip.AddrPort, error) {
	addrs, err := lookup(ctx, a.host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	local := a.local.Addr()
	for _, ip := range addrs {
		if ip.Is4() != local.Is6() {
			return netip.AddrPortFrom(ip, a.port), nil
		}
	}
	if local.IsValid() {
		return netip.AddrPort{}, fmt.Errorf("%s has no address of the family of %v", a.host, local)
	}
	return netip.AddrPortFrom(addrs[0], a.port), nil
}

// isItself reports whether the peer of UDP is this end: what it sends comes back then.
func (a *address) isItself(peer netip.AddrPort) bool {
	local := a.local.Addr()
	switch {
	case peer.Port() != a.local.Port():
		return false
	case local.IsValid() && !local.IsUnspecified():
		return peer.Addr() == local
	case peer.Addr().IsLoopback():
		return true
	}
	own, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(own, func(o net.Addr) bool {
		ip, ok := o.(*net.IPNet)
		return ok && ip.IP.Equal(peer.Addr().AsSlice())
	})
}

// lookup returns a host's addresses, at least one.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}
