package vendorlib

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/windows"
)

func TestALibraryOfTheSystemsFolder(t *testing.T) {
	l, err := Load("kernel32.dll")
	if err != nil {
		t.Fatal(err)
	}
	var id, none uintptr = 0, 1
	if err := l.Bind(Export{Name: "GetCurrentProcessId", Proc: &id}, Export{Name: "NoSuchFunction", Proc: &none, Optional: true}); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := syscall.SyscallN(id); int(got) != os.Getpid() {
		t.Errorf("a call returns %d, want %d", got, os.Getpid())
	}
	if none != 0 {
		t.Errorf("an optional function that is missing has the address %#x", none)
	}
}

func TestALibraryByItsPath(t *testing.T) {
	folder, err := windows.GetSystemDirectory()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(filepath.Join(folder, "kernel32.dll")); err != nil {
		t.Error(err)
	}
}

func TestAllFunctionsThatAreMissingAreNamed(t *testing.T) {
	l, err := Load("kernel32.dll")
	if err != nil {
		t.Fatal(err)
	}
	var a, b, c uintptr
	err = l.Bind(Export{Name: "NoSuchFunction", Proc: &a}, Export{Name: "GetCurrentProcessId", Proc: &b}, Export{Name: "NorThis", Proc: &c})
	if err == nil || !strings.Contains(err.Error(), "NoSuchFunction, NorThis") || strings.Contains(err.Error(), "ProcessId") {
		t.Errorf("the error is %v", err)
	}
}

func TestALibraryThatIsMissing(t *testing.T) {
	_, err := Load("no-such-library.dll")
	if !errors.Is(err, windows.ERROR_MOD_NOT_FOUND) || !strings.Contains(strings.ToLower(err.Error()), `system32\no-such-library.dll`) {
		t.Errorf("the error is %v", err)
	}
}

// What lies in the working folder is not loaded: the file is no library, and would give
// another error.
func TestTheWorkingFolderIsNotSearched(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("planted.dll", []byte("MZ"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load("planted.dll"); !errors.Is(err, windows.ERROR_MOD_NOT_FOUND) {
		t.Errorf("the error is %v", err)
	}
	if _, err := Load(`.\planted.dll`); err == nil || errors.Is(err, windows.ERROR_BAD_EXE_FORMAT) {
		t.Errorf("by a relative path, the error is %v", err)
	}
}
