package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"example.com/isotp/canbus/j2534"
	"example.com/isotp/canbus/kvaser"
	"example.com/isotp/canbus/pcan"
	"example.com/isotp/canbus/slcan"
)

// exampleBitrate stands in the addresses of buses whose bit rate their name says.
const exampleBitrate = "@500000"

// An adapterInfo is an adapter, or one of its channels, that is not an interface of Linux.
type adapterInfo struct {
	Type     string `json:"type"`               // the driver: slcan, pcan, kvaser or j2534
	Address  string `json:"address"`            // to type, with exampleBitrate
	Adapter  string `json:"adapter"`            // what it is
	Perhaps  bool   `json:"perhaps,omitempty"`  // it may be something else
	Serial   string `json:"serial,omitempty"`   // the serial number
	FD       bool   `json:"fd"`                 // it is known to have CAN FD
	State    string `json:"state,omitempty"`    // free or in use; "": not known
	Obstacle string `json:"obstacle,omitempty"` // why this program cannot open it
}

// An adapterSource lists the adapters of a driver.
type adapterSource func() ([]adapterInfo, error)

// adapterSources are all drivers that can list adapters.
var adapterSources = []adapterSource{serialAdapters, pcanAdapters, kvaserAdapters, passThruAdapters}

// findAdapters lists the adapters of all drivers, and what went wrong.
func findAdapters(sources []adapterSource) (list []adapterInfo, problems []error) {
	for _, source := range sources {
		found, err := source()
		if err != nil {
			problems = append(problems, err)
		}
		list = append(list, found...)
	}
	return list, problems
}

func serialAdapters() ([]adapterInfo, error) {
	ports, err := slcan.Ports()
	return serialInfos(ports, runtime.GOOS == "linux"), err
}

// serialInfos are the ports as they are listed. toldInUse: the system tells which are in use.
func serialInfos(ports []slcan.Port, toldInUse bool) []adapterInfo {
	var list []adapterInfo
	for _, p := range ports {
		a := adapterInfo{
			Type: "slcan", Address: "slcan:" + p.Name + exampleBitrate,
			Adapter: p.Adapter, Perhaps: p.Perhaps, Serial: p.SerialNumber, FD: p.FD,
		}
		if toldInUse {
			a.State = stateOf(p.InUse)
		}
		list = append(list, a)
	}
	return list
}

func pcanAdapters() (list []adapterInfo, err error) {
	channels, err := pcan.Channels()
	for _, c := range channels {
		list = append(list, channelInfo("pcan", c.Name, c.Description, c.FD, c.InUse))
	}
	return list, installed(err)
}

func kvaserAdapters() (list []adapterInfo, err error) {
	channels, err := kvaser.Channels()
	for _, c := range channels {
		list = append(list, channelInfo("kvaser", c.Name, c.Description, c.FD, c.InUse))
	}
	return list, installed(err)
}

// channelInfo is a channel that a maker's library lists.
func channelInfo(scheme, name, description string, fd, inUse bool) adapterInfo {
	return adapterInfo{
		Type: scheme, Address: scheme + ":" + name + exampleBitrate,
		Adapter: description, FD: fd, State: stateOf(inUse),
	}
}

func passThruAdapters() ([]adapterInfo, error) {
	adapters, err := j2534.Adapters()
	return passThruInfos(adapters), installed(err)
}

// passThruInfos are the adapters as they are listed. Most are installed twice, for programs of
// 32 bits and of 64: that which this one cannot open is left out then.
func passThruInfos(adapters []j2534.Adapter) []adapterInfo {
	var list []adapterInfo
	for _, a := range adapters {
		if a.Obstacle() != "" && slices.ContainsFunc(adapters, func(b j2534.Adapter) bool {
			return b.Name == a.Name && b.Obstacle() == ""
		}) {
			continue
		}
		info := adapterInfo{Type: "j2534", Address: "j2534:" + a.Name + exampleBitrate, Adapter: a.Name, Obstacle: a.Obstacle()}
		if a.Vendor != "" {
			info.Adapter += ", " + a.Vendor
		}
		list = append(list, info)
	}
	return list
}

// installed leaves out that there is no maker's library: few computers have one.
func installed(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

func stateOf(inUse bool) string {
	if inUse {
		return "in use"
	}
	return "free"
}

func printAdapters(t *tabwriter.Writer, adapters []adapterInfo) {
	fmt.Fprintln(t, "ADDRESS\tADAPTER\tSERIAL\tFRAMES\tSTATE")
	for _, a := range adapters {
		adapter, frames := a.Adapter, framesOf(a.FD)
		if a.Perhaps {
			adapter, frames = "perhaps: "+adapter, "-"
		}
		address := a.Address
		if strings.Contains(address, " ") {
			address = `"` + address + `"` // as shells want it
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", address, adapter, orDash(a.Serial), frames, orDash(cmp.Or(a.Obstacle, a.State)))
	}
	if slices.ContainsFunc(adapters, func(a adapterInfo) bool { return a.Type != "slcan" }) {
		fmt.Fprintln(t, experimental)
	}
}

// experimental is said of the drivers over makers' libraries, where they list something.
const experimental = `
pcan:, kvaser: and j2534: are experimental, not tried on hardware; how to report: docs/buses.md#experimental-drivers`
