package main

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"example.com/isotp/canbus/j2534"
	"example.com/isotp/canbus/slcan"
)

var testInterfaces = []interfaceInfo{
	{Name: "can0", Kind: "can", Driver: "peak_usb", State: "up", FD: true, Bitrate: 500_000},
	{Name: "vcan0", Kind: "vcan", State: "down"},
}

func testAdapters() []adapterInfo {
	return serialInfos([]slcan.Port{
		{Name: "/dev/ttyACM0", Adapter: "CANable 2", SerialNumber: "207D", FD: true, InUse: true},
		{Name: "/dev/ttyUSB0", Adapter: "CH340", Perhaps: true},
	}, true)
}

func TestLinkTables(t *testing.T) {
	var b strings.Builder
	if err := printLinks(&b, testInterfaces, testAdapters()); err != nil {
		t.Fatal(err)
	}
	want := `
INTERFACE  KIND  DRIVER    STATE  FRAMES   BIT RATE
can0       can   peak_usb  up     CAN FD   500000
vcan0      vcan  -         down   classic  -

ADDRESS                    ADAPTER         SERIAL  FRAMES  STATE
slcan:/dev/ttyACM0@500000  CANable 2       207D    CAN FD  in use
slcan:/dev/ttyUSB0@500000  perhaps: CH340  -       -       free
`
	if got := b.String(); !strings.HasSuffix(got, want) {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

func TestLinkJSON(t *testing.T) {
	var b strings.Builder
	if err := printLinksJSON(&b, testInterfaces, testAdapters()); err != nil {
		t.Fatal(err)
	}
	want := `{"type":"interface","address":"can0","kind":"can","driver":"peak_usb","state":"up","fd":true,"bitrate":500000}
{"type":"interface","address":"vcan0","kind":"vcan","state":"down","fd":false}
{"type":"slcan","address":"slcan:/dev/ttyACM0@500000","adapter":"CANable 2","serial":"207D","fd":true,"state":"in use"}
{"type":"slcan","address":"slcan:/dev/ttyUSB0@500000","adapter":"CH340","perhaps":true,"fd":false,"state":"free"}
`
	if b.String() != want {
		t.Errorf("printed\n%swant\n%s", b.String(), want)
	}
}

// A driver that fails does not hide what the others have found.
func TestLinkWithADriverThatFails(t *testing.T) {
	broken := errors.New("broken")
	list, problems := findAdapters([]adapterSource{
		func() ([]adapterInfo, error) { return nil, broken },
		func() ([]adapterInfo, error) { return testAdapters(), nil },
	})
	if len(list) != 2 || len(problems) != 1 || problems[0] != broken {
		t.Errorf("%v, %v", list, problems)
	}
}

// Pass-thru adapters that this program cannot open are listed, with why, unless it can open the
// same by another library. What is experimental is said to be.
func TestLinkOfPassThruAdapters(t *testing.T) {
	const bits = strconv.IntSize
	var b strings.Builder
	err := printLinks(&b, testInterfaces, passThruInfos([]j2534.Adapter{
		{Name: "Openport 2.0 J2534", Vendor: "Tactrix", Bits: 96 - bits, CAN: true},
		{Name: "Openport 2.0 J2534", Vendor: "Tactrix", Bits: bits, CAN: true},
		{Name: "Scanner", Bits: bits},
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := `
ADDRESS                            ADAPTER                      SERIAL  FRAMES   STATE
"j2534:Openport 2.0 J2534@500000"  Openport 2.0 J2534, Tactrix  -       classic  -
j2534:Scanner@500000               Scanner                      -       classic  it has no raw CAN

pcan:, kvaser: and j2534: are experimental`
	if got := b.String(); !strings.Contains(got, want) {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

// Few computers have the library of a maker of adapters; what else fails is told.
func TestLinkWithoutAMakersLibrary(t *testing.T) {
	broken := errors.New("broken")
	for err, want := range map[error]error{
		nil: nil, broken: broken,
		fmt.Errorf("canlib: %w", fs.ErrNotExist):          nil,
		fmt.Errorf("on Linux: %w", errors.ErrUnsupported): nil,
	} {
		if got := installed(err); got != want {
			t.Errorf("%v becomes %v", err, got)
		}
	}
}

func TestLinkOfThisComputer(t *testing.T) {
	r := isotp(t.Context(), nil, "link")
	r.want(t, exitOK, "")
	for _, text := range []string{"isotp:kernel", "isotp:user"} {
		if !strings.Contains(r.stdout, text) {
			t.Errorf("no %s in\n%s", text, r.stdout)
		}
	}
	if strings.Contains(r.stdout, "isotp:user    no") {
		t.Errorf("the engine is on no system without a bus:\n%s", r.stdout)
	}
	if strings.Contains(r.stdout, "--vcan") && runtime.GOOS != "linux" {
		t.Errorf("an interface of Linux is offered:\n%s", r.stdout)
	}
}
