package pcan

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"example.com/isotp/canbus/internal/vendorlib"
	"golang.org/x/sys/windows"
)

// load loads PCANBasic.dll, which PEAK's setup puts into the system's folder.
func load(fd bool) (library, error) {
	dll, err := vendorlib.Load("PCANBasic.dll")
	if err != nil {
		return nil, fmt.Errorf("%w (it comes with PEAK's driver: peak-system.com/drivers)", err)
	}
	l := new(native)
	var exports []vendorlib.Export
	for _, x := range l.exports(fd) {
		exports = append(exports, vendorlib.Export{Name: x.name, Proc: x.proc, Optional: !x.needed})
	}
	if err := dll.Bind(exports...); err != nil {
		return nil, err
	}
	return l, nil
}

// call calls a function of the library. Arguments may be pointers, to what stays where it is
// meanwhile.
//
//go:uintptrescapes
func call(proc uintptr, args ...uintptr) status {
	s, _, _ := syscall.SyscallN(proc, args...)
	return status(s)
}

// A winEvent is two events of Windows, which reset themselves: received is the one that
// PCAN-Basic sets.
type winEvent struct {
	received, woken windows.Handle
}

func (l *native) listen(channel uint16) (event, error) {
	e := new(winEvent)
	for _, h := range []*windows.Handle{&e.received, &e.woken} {
		var err error
		if *h, err = windows.CreateEvent(nil, 0, 0, nil); err != nil {
			e.close()
			return nil, fmt.Errorf("create an event: %w", err)
		}
	}
	value := unsafe.Slice((*byte)(unsafe.Pointer(&e.received)), unsafe.Sizeof(e.received))
	if s := l.set(channel, paramReceiveEvent, value); s != statusOK {
		e.close()
		return nil, fmt.Errorf("set the receive event: %w", s)
	}
	return e, nil
}

func (e *winEvent) wait(d time.Duration) {
	windows.WaitForMultipleObjects([]windows.Handle{e.received, e.woken}, false, uint32(d.Milliseconds()))
}

func (e *winEvent) wake() { windows.SetEvent(e.woken) }

// close closes both. The channel is no longer initialised, so the library sets none.
func (e *winEvent) close() {
	for _, h := range []windows.Handle{e.received, e.woken} {
		if h != 0 {
			windows.CloseHandle(h)
		}
	}
}
