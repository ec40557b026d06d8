package vendorlib

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// A Library is a DLL of a maker. It stays loaded until the program ends: the threads that
// such libraries start do not survive that they are unloaded.
type Library struct {
	path   string
	handle windows.Handle
}

// Load loads a library: from the system's folder if file is a name, as PCANBasic.dll, else
// from the absolute path that file is. It never looks into the working folder or those of
// PATH, where others may have put a file of that name. Where there is none the error is
// fs.ErrNotExist to errors.Is.
func Load(file string) (*Library, error) {
	flags := uintptr(windows.LOAD_LIBRARY_SEARCH_SYSTEM32)
	path := file
	switch {
	case filepath.IsAbs(file):
		flags |= windows.LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR // other libraries beside it
	case file == filepath.Base(file):
		folder, err := windows.GetSystemDirectory()
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", file, err)
		}
		path = filepath.Join(folder, file)
	default:
		return nil, fmt.Errorf("load %s: neither a name nor an absolute path", file)
	}
	handle, err := windows.LoadLibraryEx(file, 0, flags)
	switch {
	case errors.Is(err, windows.ERROR_MOD_NOT_FOUND):
		return nil, fmt.Errorf("%w: %s, or a library that it needs: %w", fs.ErrNotExist, path, err)
	case errors.Is(err, windows.ERROR_BAD_EXE_FORMAT):
		return nil, fmt.Errorf("%s is of another architecture than this program, which has %d bits: %w", path, bits, err)
	case err != nil:
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	return &Library{path, handle}, nil
}

// bits is how many bits an address of this program has.
const bits = 32 << (^uintptr(0) >> 63)

// An Export is a function of a library.
type Export struct {
	Name string
	// Proc is where Bind puts the function's address, for syscall.SyscallN. It becomes 0
	// if the library has no such function, and Optional is set.
	Proc     *uintptr
	Optional bool
}

// Bind looks up functions. It returns an error that names all those that the library lacks,
// unless they are optional: it is older than what the program needs.
func (l *Library) Bind(exports ...Export) error {
	var missing []string
	for _, e := range exports {
		proc, err := windows.GetProcAddress(l.handle, e.Name)
		if err != nil {
			proc = 0
			if !e.Optional {
				missing = append(missing, e.Name)
			}
		}
		*e.Proc = proc
	}
	if missing != nil {
		return fmt.Errorf("%s is too old: it has no %s", l.path, strings.Join(missing, ", "))
	}
	return nil
}
