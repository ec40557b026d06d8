package main

import (
	"fmt"
	"runtime"
	"text/tabwriter"

	"example.com/isotp/canbus/slcan"
)

// exampleBitrate stands in the addresses of buses whose bit rate their name says.
const exampleBitrate = "@500000"

// An adapterInfo is an adapter, or one of its channels, that is not an interface of Linux.
type adapterInfo struct {
	Type    string `json:"type"`              // the driver: slcan
	Address string `json:"address"`           // to type, with exampleBitrate
	Adapter string `json:"adapter"`           // what it is
	Perhaps bool   `json:"perhaps,omitempty"` // it may be something else
	Serial  string `json:"serial,omitempty"`  // the serial number
	FD      bool   `json:"fd"`                // it is known to have CAN FD
	State   string `json:"state,omitempty"`   // free or in use; "": not known
}

// An adapterSource lists the adapters of a driver.
type adapterSource func() ([]adapterInfo, error)

// adapterSources are all drivers that can list adapters.
var adapterSources = []adapterSource{serialAdapters}

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
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", a.Address, adapter, orDash(a.Serial), frames, orDash(a.State))
	}
}
