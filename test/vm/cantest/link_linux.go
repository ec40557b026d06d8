package cantest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mtuFD is the MTU of an interface that carries CAN FD.
const mtuFD = 72

// AddLink makes an interface of type vcan with CAN FD. It is down.
func AddLink(name string) error {
	var r request
	r.link(0, 0)
	r.attr(unix.IFLA_IFNAME, cString(name))
	r.attr(unix.IFLA_MTU, uint32(mtuFD))
	r.nest(unix.IFLA_LINKINFO, func() { r.attr(unix.IFLA_INFO_KIND, []byte("vcan")) })
	return r.do(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, "add "+name)
}

// SetLink sets an interface up or down.
func SetLink(name string, up bool) error {
	index, err := indexOf(name)
	if err != nil {
		return err
	}
	var r request
	r.linkFlags(index, up)
	return r.do(unix.RTM_NEWLINK, 0, fmt.Sprintf("set %s up=%v", name, up))
}

// SetMTU makes an interface one for classic CAN (16) or for CAN FD (72). It must
// be down.
func SetMTU(name string, mtu int) error {
	index, err := indexOf(name)
	if err != nil {
		return err
	}
	var r request
	r.link(index, 0)
	r.attr(unix.IFLA_MTU, uint32(mtu))
	return r.do(unix.RTM_NEWLINK, 0, fmt.Sprintf("set the MTU of %s to %d", name, mtu))
}

// RenameLink gives an interface another name. It must be down.
func RenameLink(name, to string) error {
	index, err := indexOf(name)
	if err != nil {
		return err
	}
	var r request
	r.link(index, 0)
	r.attr(unix.IFLA_IFNAME, cString(to))
	return r.do(unix.RTM_NEWLINK, 0, fmt.Sprintf("rename %s to %s", name, to))
}

// DeleteLink removes an interface.
func DeleteLink(name string) error {
	index, err := indexOf(name)
	if err != nil {
		return err
	}
	var r request
	r.link(index, 0)
	return r.do(unix.RTM_DELLINK, 0, "delete "+name)
}

// SetQueue makes an interface take so many frames at most (limit), and delay
// each: what comes while they wait is refused with ENOBUFS, as by a slow bus.
func SetQueue(name string, limit int, delayMicroseconds int) error {
	index, err := indexOf(name)
	if err != nil {
		return err
	}
	var r request
	r.qdisc(index)
	r.attr(unix.TCA_KIND, cString("netem"))
	// struct tc_netem_qopt: latency in ticks, limit, loss, gap, duplicate, jitter
	ticks := uint32(float64(delayMicroseconds) * ticksPerMicrosecond())
	r.attr(unix.TCA_OPTIONS, []uint32{ticks, uint32(limit), 0, 0, 0, 0})
	return r.do(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, "netem on "+name)
}

// ResetQueue undoes SetQueue.
func ResetQueue(name string) error {
	index, err := indexOf(name)
	if err != nil {
		return err
	}
	var r request
	r.qdisc(index)
	return r.do(unix.RTM_DELQDISC, 0, "remove netem from "+name)
}

// ticksPerMicrosecond is what the kernel calls psched's clock.
func ticksPerMicrosecond() float64 {
	b, err := os.ReadFile("/proc/net/psched")
	if err != nil {
		return 1
	}
	var us, ticks, resolution uint32
	if _, err := fmt.Sscanf(string(b), "%x %x %x", &us, &ticks, &resolution); err != nil || ticks == 0 {
		return 1
	}
	return float64(us) / float64(ticks)
}

func indexOf(name string) (int32, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	return int32(ifr.Uint32()), nil
}

// A request is the body of a message to the kernel's routing socket.
type request struct{ bytes.Buffer }

// link is the header of messages about an interface. Of the interface's flags
// those set in change are set to those of set.
func (r *request) link(index int32, set uint32) { r.ifinfo(index, set, set) }

func (r *request) linkFlags(index int32, up bool) {
	set := uint32(0)
	if up {
		set = unix.IFF_UP
	}
	r.ifinfo(index, set, unix.IFF_UP)
}

func (r *request) ifinfo(index int32, set, change uint32) {
	r.put(unix.IfInfomsg{Index: index, Flags: set, Change: change})
}

// qdiscRoot is TC_H_ROOT.
const qdiscRoot = 0xFFFFFFFF

// qdisc is the header of messages about an interface's queueing discipline: a
// struct tcmsg, whose parent is the interface itself.
func (r *request) qdisc(index int32) {
	r.put(struct {
		Family, _     uint8
		_             uint16
		Index         int32
		Handle        uint32
		Parent, Infos uint32
	}{Index: index, Parent: qdiscRoot})
}

func (r *request) attr(kind uint16, value any) { r.nest(kind, func() { r.put(value) }) }

func (r *request) nest(kind uint16, content func()) {
	start := r.Len()
	r.put(unix.RtAttr{Type: kind})
	content()
	binary.NativeEndian.PutUint16(r.Bytes()[start:], uint16(r.Len()-start))
	r.Write(make([]byte, -r.Len()&3))
}

func (r *request) put(v any) {
	if err := binary.Write(r, binary.NativeEndian, v); err != nil {
		panic(err) // not of a fixed size
	}
}

// do sends the request and waits for the kernel's answer.
func (r *request) do(kind uint16, flags uint16, what string) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer unix.Close(fd)
	var message request
	message.put(unix.NlMsghdr{
		Len:   uint32(unix.SizeofNlMsghdr + r.Len()),
		Type:  kind,
		Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK | flags,
	})
	message.Write(r.Bytes())
	if err := unix.Sendto(fd, message.Bytes(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	answer := make([]byte, 8192)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if n < unix.SizeofNlMsghdr+4 {
		return fmt.Errorf("%s: %d bytes as the kernel's answer", what, n)
	}
	if errno := -int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); errno != 0 {
		return fmt.Errorf("%s: %w", what, unix.Errno(errno))
	}
	return nil
}

func cString(s string) []byte { return append([]byte(s), 0) }
