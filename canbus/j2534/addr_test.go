package j2534

import (
	"strconv"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for address, want := range map[string]struct {
		name string
		o    Options
	}{
		"openport@500000":                       {"openport", Options{Bitrate: 500_000}},
		"@125000":                               {"", Options{Bitrate: 125_000}},
		"Openport 2.0 J2534@1000000,noecho":     {"Openport 2.0 J2534", Options{Bitrate: 1_000_000, NoEcho: true}},
		`C:\Program Files\op20pt32.dll@250000`:  {`C:\Program Files\op20pt32.dll`, Options{Bitrate: 250_000}},
		`C:\users\me@work\op20pt32.dll@83333`:   {`C:\users\me@work\op20pt32.dll`, Options{Bitrate: 83_333}},
		"Scanner, the second of two@500000":     {"Scanner, the second of two", Options{Bitrate: 500_000}},
		"C:/Program Files/op20pt32.dll@250000,": {},
	} {
		name, o, err := parseAddress(address)
		if want.o.Bitrate == 0 {
			if err == nil {
				t.Errorf("%s is read", address)
			}
			continue
		}
		if err != nil || name != want.name || o != want.o {
			t.Errorf("%s is %q, %+v, %v", address, name, o, err)
		}
	}
}

func TestAddressesThatAreWrong(t *testing.T) {
	for address, want := range map[string]string{
		"":                         "not NAME@BITRATE",
		"openport":                 "or @500000 if one adapter is installed",
		"openport@":                `bit rate "" is not a number`,
		"openport@fast":            `bit rate "fast" is not a number`,
		"openport@0":               "bit rate 0 is not from 1 to 1000000",
		"openport@-5":              "bit rate -5 is not from 1 to 1000000",
		"openport@1000001":         "bit rate 1000001 is not from 1 to 1000000",
		"openport@500000,data=1":   `"data=1" is not noecho`,
		"openport@500000,noecho=1": `"noecho=1" is not noecho`,
	} {
		if _, _, err := parseAddress(address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", address, err, want)
		}
	}
}

const otherBits = 96 - strconv.IntSize

func TestAdaptersAreFoundByTheirNames(t *testing.T) {
	const bits = strconv.IntSize
	openport := Adapter{Name: "Openport 2.0 J2534", Vendor: "Tactrix", Library: `C:\op.dll`, Bits: bits, CAN: true}
	openport32 := Adapter{Name: "Openport 2.0 J2534", Vendor: "Tactrix", Library: `C:\op32.dll`, Bits: otherBits, CAN: true}
	cardaq := Adapter{Name: "CarDAQ-Plus", Library: `C:\cardaq.dll`, Bits: bits, CAN: true}
	cardaq3 := Adapter{Name: "CarDAQ-Plus 3", Library: `C:\cardaq3.dll`, Bits: bits, CAN: true}
	vpw := Adapter{Name: "VPW only", Library: `C:\vpw.dll`, Bits: bits}
	old := Adapter{Name: "Old Scanner", Library: `C:\old.dll`, Bits: otherBits, CAN: true}
	all := []Adapter{openport32, old, openport, cardaq, cardaq3, vpw}
	for _, c := range []struct {
		list    []Adapter
		name    string
		want    Adapter
		problem string
	}{
		{all, "Openport 2.0 J2534", openport, ""},
		{all, "openPORT", openport, ""},
		{all, "cardaq-plus", cardaq, ""}, // also a part of another name
		{all, "plus 3", cardaq3, ""},
		{[]Adapter{openport}, "", openport, ""},
		{[]Adapter{old, openport, vpw}, "", openport, ""}, // the only one that can be opened
		{all, "", Adapter{}, `several adapters are installed: name one of "Openport 2.0 J2534", "CarDAQ-Plus", "CarDAQ-Plus 3"`},
		{all, "car", Adapter{}, `several adapters have "car" in their names: "CarDAQ-Plus", "CarDAQ-Plus 3"`},
		{all, "kvaser", Adapter{}, `no adapter has "kvaser" in its name: there is "Openport 2.0 J2534", "Old Scanner"`},
		{all, "vpw", Adapter{}, "VPW only: it has no raw CAN"},
		{all, "scanner", Adapter{}, "Old Scanner: its library has " + strconv.Itoa(otherBits) + " bits, and this program " + strconv.Itoa(bits)},
		{[]Adapter{old}, "", Adapter{}, "use the program's build for windows/" + architectures[otherBits] + " (GOARCH=" + architectures[otherBits] + ")"},
		{nil, "openport", Adapter{}, "no pass-thru adapter is installed"},
		{all, "op20pt32.dll", Adapter{}, `the path "op20pt32.dll" is not absolute`},
		{nil, `..\op20pt32.DLL`, Adapter{}, `the path "..\\op20pt32.DLL" is not absolute`},
	} {
		got, err := find(c.list, c.name)
		switch {
		case c.problem == "" && (err != nil || got != c.want):
			t.Errorf("%q is %+v, %v", c.name, got, err)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%q is %+v, %v, want %q in it", c.name, got, err, c.problem)
		}
	}
}
