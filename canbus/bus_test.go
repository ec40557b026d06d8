package canbus

import (
	"context"
	"errors"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestFilterMatch(t *testing.T) {
	for _, c := range []struct {
		name   string
		filter Filter
		frame  Frame
		want   bool
	}{
		{"the identifier", Filter{ID: 0x7E8, Mask: MaxStandardID}, Frame{ID: 0x7E8}, true},
		{"another", Filter{ID: 0x7E8, Mask: MaxStandardID}, Frame{ID: 0x7E9}, false},
		{"a bit outside the mask", Filter{ID: 0x7E8, Mask: 0x7F8}, Frame{ID: 0x7EF}, true},
		{"a bit of the filter outside the mask", Filter{ID: 0x7EF, Mask: 0x7F8}, Frame{ID: 0x7E8}, true},
		{"11 bits where 29 are wanted", Filter{ID: 0x7E8, Mask: MaxExtendedID, Extended: true}, Frame{ID: 0x7E8}, false},
		{"29 bits where 11 are wanted", Filter{ID: 0x7E8, Mask: MaxStandardID}, Frame{ID: 0x7E8, Flags: Extended}, false},
		{"29 bits", Filter{ID: 0x18DAF110, Mask: MaxExtendedID, Extended: true}, Frame{ID: 0x18DAF110, Flags: Extended | FD}, true},
		{"zero filter", Filter{}, Frame{ID: 0x123}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.filter.Match(&c.frame); got != c.want {
				t.Errorf("Match = %v", got)
			}
		})
	}
}

type namedBus struct {
	Bus
	address string
}

// register is Register until the test's end.
func register(t *testing.T, scheme string, err error) {
	Register(scheme, func(_ context.Context, address string) (Bus, error) {
		if err != nil {
			return nil, err
		}
		return namedBus{address: address}, nil
	})
	t.Cleanup(func() {
		driversMu.Lock()
		defer driversMu.Unlock()
		delete(drivers, scheme)
	})
}

func TestOpenFindsTheDriver(t *testing.T) {
	register(t, "one", nil)
	register(t, "", nil)
	for name, want := range map[string]string{
		"one:a":     "a",
		"one:a:b@5": "a:b@5",
		"one:":      "",
		"vcan0":     "vcan0",
		"one":       "one",
	} {
		bus, err := Open(t.Context(), name)
		if err != nil || bus != (namedBus{address: want}) {
			t.Errorf("Open(%q) = %v, %v; want address %q", name, bus, err, want)
		}
	}
}

func TestOpenCallsOpened(t *testing.T) {
	register(t, "one", nil)
	register(t, "broken", errors.New("no such device"))
	var names []string
	ctx := WithOpened(t.Context(), func(name string, bus Bus) Bus {
		names = append(names, name)
		return namedBus{Bus: bus, address: "wrapped"}
	})
	bus, err := Open(ctx, "one:a")
	if want := (namedBus{Bus: namedBus{address: "a"}, address: "wrapped"}); err != nil || bus != want {
		t.Errorf("Open = %v, %v", bus, err)
	}
	if _, err := Open(ctx, "broken:x"); err == nil {
		t.Error("no error")
	}
	if !slices.Equal(names, []string{"one:a"}) {
		t.Errorf("called for %q", names)
	}
}

func TestOpenReturnsTheDriversError(t *testing.T) {
	want := errors.New("no such device")
	register(t, "broken", want)
	if bus, err := Open(t.Context(), "broken:x"); bus != nil || err != want {
		t.Errorf("Open = %v, %v; want %v", bus, err, want)
	}
}

func TestOpenUnknown(t *testing.T) {
	register(t, "two", nil)
	register(t, "one", nil)
	for _, name := range []string{"three:x", "vcan0", ""} {
		_, err := Open(t.Context(), name)
		unknown, ok := errors.AsType[*UnknownBusError](err)
		if !ok || unknown.Name != name || !slices.Equal(unknown.Schemes, []string{"one", "two", "virtual"}) { // the last is of the examples
			t.Errorf("Open(%q): %v", name, err)
			continue
		}
		for _, part := range []string{`"` + name + `"`, "one:", "two:"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error %q does not name %s", err, part)
			}
		}
	}
}

func TestAnIdentityIsTheNameUnlessTheDriverKnowsBetter(t *testing.T) {
	RegisterIdentity("identified", func(address string) string { return "what " + address + " means" })
	t.Cleanup(func() { delete(identities, "identified") })
	for name, want := range map[string]string{
		"identified:can0": "what can0 means",
		"identified:a:b":  "what a:b means",
		"other:can0":      "other:can0",
		"can0":            "can0",
		"":                "",
	} {
		if got := Identity(name); got != want {
			t.Errorf("Identity(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestUnknownBusErrorNamesWhatThereIs(t *testing.T) {
	for _, c := range []struct {
		schemes []string
		want    string
	}{
		{nil, "(known: none)"},
		{[]string{"slcan", "virtual"}, "(known: slcan:, virtual:)"},
		{[]string{"", "virtual"}, "(known: names without a colon, virtual:)"},
	} {
		err := &UnknownBusError{Name: "x", Schemes: c.schemes}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v; want it to contain %s", err, c.want)
		}
	}
}

func TestSplitName(t *testing.T) {
	for name, want := range map[string][2]string{
		"can0":      {"", "can0"},
		"one:a":     {"one", "a"},
		"one:a:b@5": {"one", "a:b@5"},
		"one:":      {"one", ""},
		":a":        {"", ":a"},
		"":          {"", ""},
	} {
		if scheme, address := SplitName(name); scheme != want[0] || address != want[1] {
			t.Errorf("SplitName(%q) = %q, %q; want %q", name, scheme, address, want)
		}
	}
}

func TestUnknownBusErrorNamesThePackageToImport(t *testing.T) {
	for name, want := range map[string]string{
		"slcan:x": `import _ "example.com/isotp/canbus/slcan", or _ "example.com/isotp/canbus/all" for all drivers`,
		"udp:x":   `import _ "example.com/isotp/canbus/udpmulticast"`,
		"can0":    `import _ "example.com/isotp/canbus/socketcan"`,
		"nosuch:": "no driver of this module has that scheme",
	} {
		if _, err := Open(t.Context(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q): %v, want %q", name, err, want)
		}
	}
}

var registers = regexp.MustCompile(`canbus\.Register\("([^"]*)"`)

// Drivers are the packages beside this one that register a scheme.
func TestAllDriversAreKnownAndImportedByPackageAll(t *testing.T) {
	files, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	drivers := make(map[string]string)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if m := registers.FindSubmatch(text); m != nil && !strings.HasSuffix(file, "_test.go") {
			drivers[string(m[1])] = filepath.Base(filepath.Dir(file))
		}
	}
	if !maps.Equal(drivers, packages) {
		t.Errorf("the table has %v, drivers are %v", packages, drivers)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "all/all.go", nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var imported []string
	for _, i := range file.Imports {
		imported = append(imported, path.Base(strings.Trim(i.Path.Value, `"`)))
	}
	if want := slices.Sorted(maps.Values(drivers)); !slices.Equal(imported, want) {
		t.Errorf("package all imports %q, drivers are %q", imported, want)
	}
}

func TestRegisterTwicePanics(t *testing.T) {
	register(t, "one", nil)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Register("one", nil)
}
