package fake

import (
	"os"
	"testing"

	"golang.org/x/sys/windows"
)

// A Library is a fake that stands in the system's folder, where the drivers load it.
type Library struct {
	t   *testing.T
	dll *windows.DLL
}

// Open returns the fake of a file, such as PCANBasic.dll, as new. The test is skipped where
// it is missing, and where the maker's own library is there: no test sends anything by an
// adapter.
func Open(t *testing.T, file string) *Library {
	t.Helper()
	lazy := windows.NewLazySystemDLL(file)
	err := lazy.NewProc("fake_reset").Find()
	switch {
	case err == nil:
	case os.Getenv("ISOTPNET_NO_SKIP") != "":
		t.Fatal(err)
	default:
		t.Skipf("%s is not the fake that test/fakes/build makes: %v", file, err)
	}
	dll := &windows.DLL{Name: file, Handle: windows.Handle(lazy.Handle())}
	l := &Library{t, dll}
	l.Do("fake_reset")
	t.Cleanup(func() { l.Do("fake_reset") })
	return l
}

// Do calls a function of the fake, and returns what that returns. A channel that does
// not exist, or a value that is out of range, fails the test.
func (l *Library) Do(function string, args ...int) int {
	l.t.Helper()
	proc, err := l.dll.FindProc(function)
	if err != nil {
		l.t.Fatal(err)
	}
	var words []uintptr
	for _, a := range args {
		words = append(words, uintptr(a))
	}
	r, _, _ := proc.Call(words...)
	if int32(r) == -1 {
		l.t.Fatalf("%s%v is not possible", function, args)
	}
	return int(int32(r))
}
