package main

import (
	"errors"
	"fmt"
	"net"

	"go.einride.tech/can/pkg/candevice"
	"golang.org/x/sys/unix"
)

// setLinkUp sets an interface up, after it has set what is to be different.
func setLinkUp(name string, want linkSetting) error {
	d, err := openDevice(name)
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return explainLink(name, want, err)
	}
	if info.Type != candevice.CanLinkType {
		if want != (linkSetting{}) {
			return usageErrorf("%s is a virtual interface (%s), which has no controller: isotp link up %s, without --bitrate and --listen-only", name, info.Type, name)
		}
		return explainLink(name, want, d.SetUp())
	}
	up, err := d.IsUp()
	if err != nil {
		return explainLink(name, want, err)
	}
	is := linkSetting{info.BitTiming.Bitrate, info.CtrlMode.Flags&unix.CAN_CTRLMODE_LISTENONLY != 0}
	if want.bitrate == 0 {
		want.bitrate = is.bitrate
	}
	switch {
	case want.listenOnly && want.bitrate == 0:
		return usageErrorf("--listen-only: %s has no bit rate yet, so it needs --bitrate", name)
	case up && is != want:
		return usageErrorf("%s is up already, %v: isotp link down %s first", name, is, name)
	case up:
		return nil
	}
	if is.bitrate != want.bitrate {
		if err := d.SetBitrate(want.bitrate); err != nil {
			return explainLink(name, want, err)
		}
	}
	if is.listenOnly != want.listenOnly {
		if err := d.SetListenOnlyMode(want.listenOnly); err != nil {
			return explainLink(name, want, err)
		}
	}
	return explainLink(name, want, d.SetUp())
}

func (s linkSetting) String() string {
	text := "without a bit rate of its own"
	if s.bitrate != 0 {
		text = fmt.Sprintf("with %d bit/s", s.bitrate)
	}
	if s.listenOnly {
		text += ", listening only"
	}
	return text
}

func setLinkDown(name string) error {
	d, err := openDevice(name)
	if err != nil {
		return err
	}
	return explainLink(name, linkSetting{}, d.SetDown())
}

// openDevice finds a CAN interface.
func openDevice(name string) (*candevice.Device, error) {
	if _, err := net.InterfaceByName(name); err != nil {
		return nil, usageErrorf("there is no interface %s (isotp link lists those of CAN)", name)
	}
	d, err := candevice.New(name)
	if err != nil {
		return nil, usageErrorf("%s: %w", name, err)
	}
	return d, nil
}

// explainLink adds to an error of the kernel what it means for the interface and the setting.
func explainLink(name string, want linkSetting, err error) error {
	hint := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		hint = "it needs root, or CAP_NET_ADMIN"
	case errors.Is(err, unix.EBUSY):
		hint = "isotp link down " + name + " first"
	case errors.Is(err, unix.EOPNOTSUPP) && want.listenOnly:
		hint = "the controller has no listen-only mode"
	case errors.Is(err, unix.EINVAL) && want.bitrate == 0:
		hint = "it may have no bit rate yet, as --bitrate 500000"
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EDOM), errors.Is(err, unix.ERANGE):
		return usageErrorf("%s: %w: the controller cannot have %d bit/s; 125000, 250000, 500000 and 1000000 are usual", name, err, want.bitrate)
	default:
		return fmt.Errorf("%s: %w", name, err)
	}
	return fmt.Errorf("%s: %w: %s", name, err, hint)
}
