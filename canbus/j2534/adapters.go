package j2534

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// An Adapter is one whose library is installed, and named in the registry of Windows. Whether
// it is plugged in is known when it is opened.
type Adapter struct {
	Name    string // as "Openport 2.0 J2534"
	Vendor  string
	Library string // the DLL: an absolute path, or the name of a file in the system's folder
	Bits    int    // of the library: 32 or 64
	CAN     bool   // it has raw CAN, which this package needs
}

// Obstacle returns why this program cannot open the adapter, and what to do; "" if it can, once
// the adapter is plugged in.
func (a Adapter) Obstacle() string {
	switch {
	case !a.CAN:
		return "it has no raw CAN"
	case a.Bits != strconv.IntSize:
		return fmt.Sprintf("its library has %d bits, and this program %d: use the program's build for windows/%s (GOARCH=%[3]s)",
			a.Bits, strconv.IntSize, architectures[a.Bits])
	}
	return ""
}

// architectures are what Go calls the processors of libraries.
var architectures = map[int]string{32: "386", 64: "amd64"}

// Adapters returns the adapters that are installed, also those that this program cannot open
// (see [Adapter.Obstacle]). On other systems than Windows it returns an error that is
// errors.ErrUnsupported to errors.Is.
func Adapters() ([]Adapter, error) {
	list, err := installed()
	if err != nil {
		return nil, fmt.Errorf("j2534: %w", err)
	}
	return list, nil
}

// find returns the adapter that a name means among those that are installed: a part of its
// name, or the absolute path of a library, which need not be installed.
func find(list []Adapter, name string) (Adapter, error) {
	if strings.HasSuffix(strings.ToLower(name), ".dll") {
		if !filepath.IsAbs(name) {
			return Adapter{}, fmt.Errorf("the path %q is not absolute", name)
		}
		return Adapter{Name: filepath.Base(name), Library: name, Bits: strconv.IntSize, CAN: true}, nil
	}
	if len(list) == 0 {
		return Adapter{}, errors.New("no pass-thru adapter is installed: the setup of its maker enters it in the registry (PassThruSupport.04.04)")
	}
	matching := match(list, name)
	usable := slices.DeleteFunc(slices.Clone(matching), func(a Adapter) bool { return a.Obstacle() != "" })
	switch {
	case len(usable) == 1:
		return usable[0], nil
	case len(matching) == 0:
		return Adapter{}, fmt.Errorf("no adapter has %q in its name: there is %s", name, names(list))
	case len(usable) == 0:
		return Adapter{}, fmt.Errorf("%s: %s", matching[0].Name, matching[0].Obstacle())
	case name == "":
		return Adapter{}, fmt.Errorf("several adapters are installed: name one of %s", names(usable))
	}
	return Adapter{}, fmt.Errorf("several adapters have %q in their names: %s", name, names(usable))
}

// match returns the adapters with that name, or else those with it in their names.
func match(list []Adapter, name string) []Adapter {
	name = strings.ToLower(name)
	var equal, part []Adapter
	for _, a := range list {
		switch is := strings.ToLower(a.Name); {
		case is == name:
			equal = append(equal, a)
		case strings.Contains(is, name):
			part = append(part, a)
		}
	}
	if equal != nil {
		return equal
	}
	return part
}

func names(list []Adapter) string {
	quoted := make([]string, len(list))
	for i, a := range list {
		quoted[i] = strconv.Quote(a.Name)
	}
	return strings.Join(slices.Compact(quoted), ", ")
}
