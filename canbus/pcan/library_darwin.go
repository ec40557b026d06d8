package pcan

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/unix"
)

// libraryPath is where MacCAN's setup puts its library, which has the functions of
// PCAN-Basic. It is an absolute path, so that no other file of that name is loaded.
const libraryPath = "/usr/local/lib/libPCBUSB.dylib"

// load loads the library.
func load(fd bool) (library, error) {
	if _, err := os.Stat(libraryPath); err != nil {
		return nil, fmt.Errorf("%w: %s (it comes from mac-can.com: PCBUSB)", fs.ErrNotExist, libraryPath)
	}
	dylib, err := purego.Dlopen(libraryPath, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", libraryPath, err)
	}
	l := new(native)
	var missing []string
	for _, x := range l.exports(fd) {
		if *x.proc, err = purego.Dlsym(dylib, x.name); err != nil && x.needed {
			missing = append(missing, x.name)
		}
	}
	if missing != nil {
		return nil, fmt.Errorf("%s is too old: it has no %s", libraryPath, strings.Join(missing, ", "))
	}
	return l, nil
}

// call calls a function of the library. Arguments may be pointers, to what stays where it is
// meanwhile.
//
//go:uintptrescapes
func call(proc uintptr, args ...uintptr) status {
	s, _, _ := purego.SyscallN(proc, args...)
	return status(s)
}

// A fdEvent is the descriptor that the library makes readable while messages wait, and a pipe
// that wakes.
type fdEvent struct {
	received     int32
	woken, waker *os.File
}

func (l *native) listen(channel uint16) (event, error) {
	var value [4]byte
	if s := l.get(channel, paramReceiveEvent, value[:]); s != statusOK {
		return nil, fmt.Errorf("ask for the receive event: %w", s)
	}
	e := &fdEvent{received: int32(binary.NativeEndian.Uint32(value[:]))}
	var err error
	if e.woken, e.waker, err = os.Pipe(); err != nil {
		return nil, err
	}
	return e, nil
}

// wait leaves what is in the pipe: it is woken once, at the end.
func (e *fdEvent) wait(d time.Duration) {
	unix.Poll([]unix.PollFd{
		{Fd: e.received, Events: unix.POLLIN},
		{Fd: int32(e.woken.Fd()), Events: unix.POLLIN},
	}, int(d.Milliseconds()))
}

func (e *fdEvent) wake() { e.waker.Write([]byte{0}) }

func (e *fdEvent) close() {
	e.woken.Close()
	e.waker.Close()
}
