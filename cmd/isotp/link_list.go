package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"example.com/isotp/isotpnet"
)

type linkListCmd struct {
	Vcan string `placeholder:"NAME" help:"Make a virtual CAN interface of that name first, and set it up."`
	JSON bool   `name:"json" help:"Print each interface and each adapter as a line of JSON."`
}

func (*linkListCmd) Examples() []string {
	return []string{"isotp link list", "isotp link list --json"}
}

func (*linkListCmd) Help() string {
	return `
Lists what is attached to this computer, with the address to type:

	- on Linux the CAN interfaces, with their drivers, and what the kernel can do
	- serial ports of USB that look like adapters. Boards and chips that are in many
	  other devices, too, are listed with "perhaps"; isotp does not open the port
	- on Windows the channels that PEAK's and Kvaser's libraries know, and the pass-thru
	  adapters that are installed, and on macOS the channels of MacCAN's library (pcan:,
	  kvaser: and j2534:, which are experimental: not tried on hardware)

A bit rate in an address is an example: all nodes of a bus have the same.

On Linux the adapters of PEAK and Kvaser are interfaces: their drivers are peak_usb and
kvaser_usb, peak_pciefd and kvaser_pciefd.

	sudo isotp link --vcan vcan0
`
}

// An interfaceInfo is a CAN interface.
type interfaceInfo struct {
	Name    string `json:"address"`
	Kind    string `json:"kind"`             // can, vcan, vxcan, ...
	Driver  string `json:"driver,omitempty"` // of the adapter, as peak_usb; "" for a virtual interface, or if it is not known
	State   string `json:"state"`            // up or down, or what the controller says, as bus-off
	FD      bool   `json:"fd"`
	Bitrate uint32 `json:"bitrate,omitempty"` // 0: not known
}

// Run makes the interface and lists all.
func (c *linkListCmd) Run(s *streams) error {
	if c.Vcan != "" {
		if err := addVcan(c.Vcan); err != nil {
			return fmt.Errorf("--vcan %s: %w", c.Vcan, err)
		}
	}
	interfaces, err := canInterfaces()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	adapters, problems := findAdapters(adapterSources)
	if c.JSON {
		err = printLinksJSON(s.stdout, interfaces, adapters)
	} else {
		err = printLinks(s.stdout, interfaces, adapters)
	}
	for _, problem := range problems {
		s.warn(problem)
	}
	return err
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// printLinks prints what there is: tables of their own, because their columns differ.
func printLinks(w io.Writer, interfaces []interfaceInfo, adapters []adapterInfo) error {
	t := newTable(w)
	printBackends(t)
	fmt.Fprintln(t)
	if err := t.Flush(); err != nil {
		return err
	}
	if len(interfaces) == 0 && haveInterfaces {
		fmt.Fprintln(t, "no CAN interfaces; isotp link --vcan vcan0 makes a virtual one")
	} else if len(interfaces) > 0 {
		printInterfaces(t, interfaces)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(adapters) == 0 {
		fmt.Fprintln(t, "no adapters: no serial port looks like one")
	} else {
		fmt.Fprintln(t)
		printAdapters(t, adapters)
	}
	return t.Flush()
}

// printBackends prints what this computer can do.
func printBackends(t *tabwriter.Writer) {
	info, err := isotpnet.ProbeKernel()
	switch {
	case err != nil:
		fmt.Fprintf(t, "isotp:kernel\tno\t%v\n", err)
	default:
		fmt.Fprintf(t, "isotp:kernel\tyes\tLinux %s, messages of up to %d bytes\n", info.Release, info.MaxMessageSize)
		fmt.Fprintf(t, "\t\t%s\n", strings.ReplaceAll(info.Flags.String(), "|", " "))
	}
	if err := haveRaw(); err != nil {
		fmt.Fprintf(t, "isotp:user\tyes\ton buses of other kinds (isotp help buses); not on interfaces: %v\n", err)
	} else {
		fmt.Fprintf(t, "isotp:user\tyes\ton any interface, messages of any length\n")
	}
}

func printInterfaces(t *tabwriter.Writer, interfaces []interfaceInfo) {
	fmt.Fprintln(t, "INTERFACE\tKIND\tDRIVER\tSTATE\tFRAMES\tBIT RATE")
	for _, l := range interfaces {
		rate := ""
		if l.Bitrate > 0 {
			rate = fmt.Sprint(l.Bitrate)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, l.Kind, orDash(l.Driver), l.State, framesOf(l.FD), orDash(rate))
	}
}

func framesOf(fd bool) string {
	if fd {
		return "CAN FD"
	}
	return "classic"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// printLinksJSON prints a line for each.
func printLinksJSON(w io.Writer, interfaces []interfaceInfo, adapters []adapterInfo) error {
	out := json.NewEncoder(w)
	for _, l := range interfaces {
		line := struct {
			Type string `json:"type"`
			interfaceInfo
		}{"interface", l}
		if err := out.Encode(line); err != nil {
			return err
		}
	}
	for _, a := range adapters {
		if err := out.Encode(a); err != nil {
			return err
		}
	}
	return nil
}
