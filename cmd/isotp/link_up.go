package main

import "slices"

type linkUpCmd struct {
	Interface  string `arg:"" help:"The interface, as can0."`
	Bitrate    uint32 `placeholder:"BITS/S" help:"Bit rate (the one set before). All nodes of a bus have the same."`
	ListenOnly bool   `help:"The controller sends nothing, no acknowledgement either. Without this flag it takes part again."`
}

func (*linkUpCmd) Help() string {
	return `
Needs root. A bit rate and --listen-only can be set while the interface is down only.

	sudo isotp link up can0 --bitrate 500000

For CAN FD, whose data have a bit rate of their own, and for all else that a
controller can be told, there is ip:

	sudo ip link set can0 up type can bitrate 500000 dbitrate 2000000 fd on
	sudo ip link set can0 up type can bitrate 500000 loopback on
	sudo ip link set can0 up type can bitrate 500000 restart-ms 100
`
}

// A linkSetting is how a controller is set up.
type linkSetting struct {
	bitrate    uint32 // 0: as it is
	listenOnly bool
}

// Run sets the interface up and prints how it is then.
func (c *linkUpCmd) Run(s *streams) error {
	if err := setLinkUp(c.Interface, linkSetting{c.Bitrate, c.ListenOnly}); err != nil {
		return err
	}
	return printInterface(s, c.Interface)
}

type linkDownCmd struct {
	Interface string `arg:"" help:"The interface, as can0."`
}

func (*linkDownCmd) Help() string {
	return `
Needs root. The interface keeps its bit rate.

	sudo isotp link down can0
`
}

// Run sets the interface down and prints how it is then.
func (c *linkDownCmd) Run(s *streams) error {
	if err := setLinkDown(c.Interface); err != nil {
		return err
	}
	return printInterface(s, c.Interface)
}

func printInterface(s *streams, name string) error {
	links, err := canInterfaces()
	if err != nil {
		return err
	}
	links = slices.DeleteFunc(links, func(l interfaceInfo) bool { return l.Name != name })
	t := newTable(s.stdout)
	printInterfaces(t, links)
	return t.Flush()
}
