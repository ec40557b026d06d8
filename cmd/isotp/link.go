package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"example.com/isotp/isotpnet"
)

type linkCmd struct {
	List linkListCmd `cmd:"" default:"withargs" help:"List CAN interfaces and what the kernel can do (the default)."`
	Up   linkUpCmd   `cmd:"" help:"Set an interface up, with a bit rate."`
	Down linkDownCmd `cmd:"" help:"Set an interface down."`
}

func (*linkCmd) Help() string {
	return `
	isotp link
	sudo isotp link --vcan vcan0
	sudo isotp link up can0 --bitrate 500000
	sudo isotp link down can0
`
}

type linkListCmd struct {
	Vcan string `placeholder:"NAME" help:"Make a virtual CAN interface of that name first, and set it up."`
}

func (*linkListCmd) Help() string {
	return `
Lists the CAN interfaces of this Linux, and what its kernel can do.

	isotp link
	sudo isotp link --vcan vcan0
`
}

// An interfaceInfo is a CAN interface.
type interfaceInfo struct {
	name    string
	kind    string // can, vcan, vxcan, ...
	state   string // up or down, or what the controller says, as BUS-OFF
	fd      bool
	bitrate uint32 // 0: not known
}

// Run makes the interface and lists all.
func (c *linkListCmd) Run(s *streams) error {
	if c.Vcan != "" {
		if err := addVcan(c.Vcan); err != nil {
			return fmt.Errorf("--vcan %s: %w", c.Vcan, err)
		}
	}
	links, err := canInterfaces()
	if err != nil {
		return err
	}
	return printLinks(s.stdout, links, haveRaw())
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// printLinks prints what there is. raw is why there are no CAN_RAW sockets, nil if
// there are.
func printLinks(w io.Writer, links []interfaceInfo, raw error) error {
	t := newTable(w)
	info, err := isotpnet.ProbeKernel()
	switch {
	case err != nil:
		fmt.Fprintf(t, "isotp:kernel\tno\t%v\n", err)
	default:
		fmt.Fprintf(t, "isotp:kernel\tyes\tLinux %s, messages of up to %d bytes\n", info.Release, info.MaxMessageSize)
		fmt.Fprintf(t, "\t\t%s\n", strings.ReplaceAll(info.Flags.String(), "|", " "))
	}
	if raw != nil {
		fmt.Fprintf(t, "isotp:user\tno\ton interfaces: %v\n", raw)
	} else {
		fmt.Fprintf(t, "isotp:user\tyes\ton any interface, messages of any length\n")
	}
	fmt.Fprintln(t)
	if len(links) == 0 {
		fmt.Fprintln(t, "no CAN interfaces; isotp link --vcan vcan0 makes a virtual one")
		return t.Flush()
	}
	printInterfaces(t, links)
	return t.Flush()
}

func printInterfaces(t *tabwriter.Writer, links []interfaceInfo) {
	fmt.Fprintln(t, "INTERFACE\tKIND\tSTATE\tFRAMES\tBIT RATE")
	for _, l := range links {
		frames, rate := "classic", "-"
		if l.fd {
			frames = "CAN FD"
		}
		if l.bitrate > 0 {
			rate = fmt.Sprint(l.bitrate)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", l.name, l.kind, l.state, frames, rate)
	}
}
