package j2534_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/j2534"
	"example.com/isotp/test/fakes/fake"
)

// These tests are over test/fakes. Each program under Wine has a registry of its own.

const (
	dll1, dll2 = "fakept1.dll", "fakept2.dll"
	otherBits  = 96 - strconv.IntSize
	root       = `SOFTWARE\PassThruSupport.04.04`
)

func view(bits int) uint32 {
	if bits == 32 {
		return registry.WOW64_32KEY
	}
	return registry.WOW64_64KEY
}

// enter enters an adapter in the registry, as a setup does.
func enter(t *testing.T, a j2534.Adapter) {
	t.Helper()
	key := root + `\` + a.Vendor + " - " + a.Name
	k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, key, registry.SET_VALUE|view(a.Bits))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	t.Cleanup(func() { remove(key, a.Bits) })
	channels := uint32(0)
	if a.CAN {
		channels = 1
	}
	err = errors.Join(
		k.SetStringValue("Name", a.Name),
		k.SetStringValue("Vendor", a.Vendor),
		k.SetExpandStringValue("FunctionLibrary", a.Library),
		k.SetDWordValue("CAN", channels),
	)
	if err != nil {
		t.Fatal(err)
	}
}

func remove(key string, bits int) {
	parent, name := filepath.Split(key)
	if k, err := registry.OpenKey(registry.LOCAL_MACHINE, strings.TrimSuffix(parent, `\`), registry.WRITE|view(bits)); err == nil {
		registry.DeleteKey(k, name)
		k.Close()
	}
}

func adapter(number int, library string) j2534.Adapter {
	return j2534.Adapter{
		Name: "Fake adapter " + strconv.Itoa(number), Vendor: "test/fakes", Library: library, Bits: strconv.IntSize, CAN: true,
	}
}

func TestOverTheFakeOfAPassThruLibrary(t *testing.T) {
	fake.Open(t, dll1)
	enter(t, adapter(1, dll1))
	enter(t, adapter(2, dll2))
	fake.Run(t, fake.Driver{
		File:         dll1,
		Channels:     [2]int{1, 2},
		Names:        [2]string{"j2534:adapter 1", "j2534:Fake Adapter 2"},
		ReceiveQueue: 4096,
		PassThru:     true,
	})
}

func TestAdaptersInTheRegistry(t *testing.T) {
	fake.Open(t, dll1)
	system, err := windows.GetSystemDirectory()
	if err != nil {
		t.Fatal(err)
	}
	first := adapter(1, `%SystemRoot%\system32\`+dll1)
	blind, old := adapter(2, dll2), adapter(3, "old.dll")
	blind.CAN, old.Bits = false, otherBits
	for _, a := range []j2534.Adapter{first, blind, old} {
		enter(t, a)
	}
	got, err := j2534.Adapters()
	if err != nil {
		t.Fatal(err)
	}
	first.Library = filepath.Join(system, dll1)
	slices.SortFunc(got, func(a, b j2534.Adapter) int { return strings.Compare(a.Name, b.Name) })
	if len(got) != 3 || !strings.EqualFold(got[0].Library, first.Library) {
		t.Fatalf("got %+v", got)
	}
	got[0].Library = first.Library
	if want := []j2534.Adapter{first, blind, old}; !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}

	// The only one that can be opened needs no name. A path needs no registry.
	for _, name := range []string{"j2534:@500000", "j2534:" + first.Library + "@500000"} {
		bus, err := canbus.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if v := bus.(*j2534.Bus).Version(); v != (j2534.Version{Firmware: "fake firmware 1.0", Library: "fake library 2.0", API: "04.04"}) {
			t.Errorf("%s has the versions %+v", name, v)
		}
		bus.Close()
	}
	if a, b := canbus.Identity("j2534:@500000"), canbus.Identity("j2534:adapter 1@500000"); a != b {
		t.Errorf("one bus is %s and %s", a, b)
	}
	for name, want := range map[string]string{
		"j2534:adapter 2@500000":           "Fake adapter 2: it has no raw CAN",
		"j2534:adapter 3@500000":           "GOARCH=" + map[int]string{32: "386", 64: "amd64"}[otherBits],
		"j2534:" + dll1 + "@500000":        `the path "fakept1.dll" is not absolute`,
		`j2534:C:\no\such.dll@500000`:      "such.dll, or a library that it needs",
		`j2534:` + system + `\ntdll.dll@1`: "it has no PassThruOpen, PassThruClose",
		"j2534:adapter 1@123456":           "the adapter does not have this bit rate (ERR_INVALID_BAUDRATE, 0x19)",
	} {
		if _, err := canbus.Open(t.Context(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", name, err, want)
		}
	}
}

// An adapter that is not plugged in is told when it is opened.
func TestAnAdapterThatIsNotPluggedIn(t *testing.T) {
	l := fake.Open(t, dll1)
	enter(t, adapter(1, dll1))
	l.Do("fake_pull", 1, 0, 0)
	_, err := canbus.Open(t.Context(), "j2534:@500000")
	if e, ok := errors.AsType[*j2534.Error](err); !ok || e.Call != "PassThruOpen" || e.Text != "fake: error 0x08" {
		t.Errorf("the error is %v", err)
	}
}
