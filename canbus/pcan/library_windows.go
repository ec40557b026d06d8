package pcan

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"example.com/isotp/canbus/internal/vendorlib"
	"golang.org/x/sys/windows"
)

// A dll is PCANBasic.dll.
type dll struct {
	initializeProc, initializeFDProc, uninitializeProc, resetProc, statusProc uintptr
	readProc, readFDProc, writeProc, writeFDProc, getProc, setProc            uintptr
}

// load loads PCANBasic.dll, which PEAK's setup puts into the system's folder. The functions
// for CAN FD are needed only with fd: versions before 4.0 have none.
func load(fd bool) (library, error) {
	l, err := vendorlib.Load("PCANBasic.dll")
	if err != nil {
		return nil, fmt.Errorf("%w (it comes with PEAK's driver: peak-system.com/drivers)", err)
	}
	d := new(dll)
	err = l.Bind(
		vendorlib.Export{Name: "CAN_Initialize", Proc: &d.initializeProc},
		vendorlib.Export{Name: "CAN_Uninitialize", Proc: &d.uninitializeProc},
		vendorlib.Export{Name: "CAN_Reset", Proc: &d.resetProc},
		vendorlib.Export{Name: "CAN_GetStatus", Proc: &d.statusProc},
		vendorlib.Export{Name: "CAN_Read", Proc: &d.readProc},
		vendorlib.Export{Name: "CAN_Write", Proc: &d.writeProc},
		vendorlib.Export{Name: "CAN_GetValue", Proc: &d.getProc},
		vendorlib.Export{Name: "CAN_SetValue", Proc: &d.setProc},
		vendorlib.Export{Name: "CAN_InitializeFD", Proc: &d.initializeFDProc, Optional: !fd},
		vendorlib.Export{Name: "CAN_ReadFD", Proc: &d.readFDProc, Optional: !fd},
		vendorlib.Export{Name: "CAN_WriteFD", Proc: &d.writeFDProc, Optional: !fd},
	)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (d *dll) initialize(channel, btr0btr1 uint16) status {
	// The last three are for hardware that is not plug and play.
	s, _, _ := syscall.SyscallN(d.initializeProc, uintptr(channel), uintptr(btr0btr1), 0, 0, 0)
	return status(s)
}

func (d *dll) initializeFD(channel uint16, timing string) status {
	text, err := windows.BytePtrFromString(timing)
	if err != nil {
		return statusIllParamVal
	}
	s, _, _ := syscall.SyscallN(d.initializeFDProc, uintptr(channel), uintptr(unsafe.Pointer(text)))
	return status(s)
}

func (d *dll) uninitialize(channel uint16) status {
	s, _, _ := syscall.SyscallN(d.uninitializeProc, uintptr(channel))
	return status(s)
}

func (d *dll) reset(channel uint16) status {
	s, _, _ := syscall.SyscallN(d.resetProc, uintptr(channel))
	return status(s)
}

func (d *dll) status(channel uint16) status {
	s, _, _ := syscall.SyscallN(d.statusProc, uintptr(channel))
	return status(s)
}

func (d *dll) read(channel uint16, m *message, t *timestamp) status {
	s, _, _ := syscall.SyscallN(d.readProc, uintptr(channel), uintptr(unsafe.Pointer(m)), uintptr(unsafe.Pointer(t)))
	return status(s)
}

func (d *dll) readFD(channel uint16, m *messageFD, micros *uint64) status {
	s, _, _ := syscall.SyscallN(d.readFDProc, uintptr(channel), uintptr(unsafe.Pointer(m)), uintptr(unsafe.Pointer(micros)))
	return status(s)
}

func (d *dll) write(channel uint16, m *message) status {
	s, _, _ := syscall.SyscallN(d.writeProc, uintptr(channel), uintptr(unsafe.Pointer(m)))
	return status(s)
}

func (d *dll) writeFD(channel uint16, m *messageFD) status {
	s, _, _ := syscall.SyscallN(d.writeFDProc, uintptr(channel), uintptr(unsafe.Pointer(m)))
	return status(s)
}

func (d *dll) get(channel uint16, p parameter, value []byte) status {
	s, _, _ := syscall.SyscallN(d.getProc, uintptr(channel), uintptr(p), uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(len(value)))
	return status(s)
}

func (d *dll) set(channel uint16, p parameter, value []byte) status {
	s, _, _ := syscall.SyscallN(d.setProc, uintptr(channel), uintptr(p), uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(len(value)))
	return status(s)
}

// A winEvent is two events of Windows, which reset themselves: received is the one that
// PCAN-Basic sets.
type winEvent struct {
	received, woken windows.Handle
}

func (d *dll) listen(channel uint16) (event, error) {
	e := new(winEvent)
	for _, h := range []*windows.Handle{&e.received, &e.woken} {
		var err error
		if *h, err = windows.CreateEvent(nil, 0, 0, nil); err != nil {
			e.close()
			return nil, fmt.Errorf("create an event: %w", err)
		}
	}
	value := unsafe.Slice((*byte)(unsafe.Pointer(&e.received)), unsafe.Sizeof(e.received))
	if s := d.set(channel, paramReceiveEvent, value); s != statusOK {
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
