package pcan

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/unix"
)

// libraryPath is where MacCAN's setup puts its library, which has the functions of
// PCAN-Basic. It is an absolute path, so that no other file of that name is loaded.
const libraryPath = "/usr/local/lib/libPCBUSB.dylib"

// A dylib is libPCBUSB.dylib.
type dylib struct {
	initializeProc, initializeFDProc, uninitializeProc, resetProc, statusProc uintptr
	readProc, readFDProc, writeProc, writeFDProc, getProc, setProc            uintptr
}

// load loads the library. The functions for CAN FD are needed only with fd.
func load(fd bool) (library, error) {
	if _, err := os.Stat(libraryPath); err != nil {
		return nil, fmt.Errorf("%w: %s (it comes from mac-can.com: PCBUSB)", fs.ErrNotExist, libraryPath)
	}
	handle, err := purego.Dlopen(libraryPath, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", libraryPath, err)
	}
	d := new(dylib)
	var missing []string
	for _, x := range []struct {
		name   string
		proc   *uintptr
		needed bool
	}{
		{"CAN_Initialize", &d.initializeProc, true},
		{"CAN_Uninitialize", &d.uninitializeProc, true},
		{"CAN_Reset", &d.resetProc, true},
		{"CAN_GetStatus", &d.statusProc, true},
		{"CAN_Read", &d.readProc, true},
		{"CAN_Write", &d.writeProc, true},
		{"CAN_GetValue", &d.getProc, true},
		{"CAN_SetValue", &d.setProc, true},
		{"CAN_InitializeFD", &d.initializeFDProc, fd},
		{"CAN_ReadFD", &d.readFDProc, fd},
		{"CAN_WriteFD", &d.writeFDProc, fd},
	} {
		if *x.proc, err = purego.Dlsym(handle, x.name); err != nil && x.needed {
			missing = append(missing, x.name)
		}
	}
	if missing != nil {
		return nil, fmt.Errorf("%s is too old: it has no %s", libraryPath, strings.Join(missing, ", "))
	}
	return d, nil
}

func (d *dylib) initialize(channel, btr0btr1 uint16) status {
	s, _, _ := purego.SyscallN(d.initializeProc, uintptr(channel), uintptr(btr0btr1), 0, 0, 0)
	return status(s)
}

func (d *dylib) initializeFD(channel uint16, timing string) status {
	text, err := unix.BytePtrFromString(timing)
	if err != nil {
		return statusIllParamVal
	}
	s, _, _ := purego.SyscallN(d.initializeFDProc, uintptr(channel), uintptr(unsafe.Pointer(text)))
	return status(s)
}

func (d *dylib) uninitialize(channel uint16) status {
	s, _, _ := purego.SyscallN(d.uninitializeProc, uintptr(channel))
	return status(s)
}

func (d *dylib) reset(channel uint16) status {
	s, _, _ := purego.SyscallN(d.resetProc, uintptr(channel))
	return status(s)
}

func (d *dylib) status(channel uint16) status {
	s, _, _ := purego.SyscallN(d.statusProc, uintptr(channel))
	return status(s)
}

func (d *dylib) read(channel uint16, m *message, t *timestamp) status {
	s, _, _ := purego.SyscallN(d.readProc, uintptr(channel), uintptr(unsafe.Pointer(m)), uintptr(unsafe.Pointer(t)))
	return status(s)
}

func (d *dylib) readFD(channel uint16, m *messageFD, micros *uint64) status {
	s, _, _ := purego.SyscallN(d.readFDProc, uintptr(channel), uintptr(unsafe.Pointer(m)), uintptr(unsafe.Pointer(micros)))
	return status(s)
}

func (d *dylib) write(channel uint16, m *message) status {
	s, _, _ := purego.SyscallN(d.writeProc, uintptr(channel), uintptr(unsafe.Pointer(m)))
	return status(s)
}

func (d *dylib) writeFD(channel uint16, m *messageFD) status {
	s, _, _ := purego.SyscallN(d.writeFDProc, uintptr(channel), uintptr(unsafe.Pointer(m)))
	return status(s)
}

func (d *dylib) get(channel uint16, p parameter, value []byte) status {
	s, _, _ := purego.SyscallN(d.getProc, uintptr(channel), uintptr(p), uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(len(value)))
	return status(s)
}

func (d *dylib) set(channel uint16, p parameter, value []byte) status {
	s, _, _ := purego.SyscallN(d.setProc, uintptr(channel), uintptr(p), uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(len(value)))
	return status(s)
}

// A fdEvent is the descriptor that the library makes readable while messages wait, and a pipe
// that wakes.
type fdEvent struct {
	received     int32
	woken, waker *os.File
}

func (d *dylib) listen(channel uint16) (event, error) {
	var value [4]byte
	if s := d.get(channel, paramReceiveEvent, value[:]); s != statusOK {
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
