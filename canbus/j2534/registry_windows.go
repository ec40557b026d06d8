package j2534

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// key is where the setups of adapters enter them.
const key = `SOFTWARE\PassThruSupport.04.04`

// installed returns the adapters in the registry. Windows of 64 bits has two: programs of 32
// bits enter adapters in the other one, which is in SOFTWARE\WOW6432Node.
func installed() ([]Adapter, error) {
	list, err := entries(32, registry.WOW64_32KEY)
	if err != nil || !has64() {
		return list, err
	}
	list64, err := entries(64, registry.WOW64_64KEY)
	return append(list, list64...), err
}

// has64 reports whether Windows has 64 bits.
func has64() bool {
	var emulated bool
	return strconv.IntSize == 64 || windows.IsWow64Process(windows.CurrentProcess(), &emulated) == nil && emulated
}

// entries returns the adapters in the registry of programs with that many bits.
func entries(bits int, view uint32) (list []Adapter, err error) {
	all, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.ENUMERATE_SUB_KEYS|view)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf(`read HKEY_LOCAL_MACHINE\%s: %w`, key, err)
	}
	defer all.Close()
	names, err := all.ReadSubKeyNames(-1)
	if err != nil {
		return nil, fmt.Errorf(`read HKEY_LOCAL_MACHINE\%s: %w`, key, err)
	}
	for _, name := range names {
		k, err := registry.OpenKey(all, name, registry.QUERY_VALUE|view)
		if err != nil {
			continue // it was removed meanwhile, or is not for this user
		}
		if a, ok := entry(k, name); ok {
			a.Bits = bits
			list = append(list, a)
		}
		k.Close()
	}
	return list, nil
}

// entry reads the entry of an adapter. It returns false if that names no library.
func entry(k registry.Key, name string) (Adapter, bool) {
	a := Adapter{Name: stringOf(k, "Name"), Vendor: stringOf(k, "Vendor"), Library: stringOf(k, "FunctionLibrary")}
	if a.Name == "" {
		a.Name = name
	}
	channels, _, err := k.GetIntegerValue("CAN")
	a.CAN = err == nil && channels > 0
	return a, a.Library != ""
}

// stringOf returns a value that is a text; "" if there is none.
func stringOf(k registry.Key, value string) string {
	s, kind, err := k.GetStringValue(value)
	if err != nil {
		return ""
	}
	if kind == registry.EXPAND_SZ {
		if expanded, err := registry.ExpandString(s); err == nil {
			return expanded
		}
	}
	return s
}
