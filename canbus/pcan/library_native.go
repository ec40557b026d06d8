//go:build windows || darwin

package pcan

import "unsafe"

// A native is the maker's library, or MacCAN's: the addresses of its functions. Numbers are
// unsigned, of one to four bytes, and returned statuses have four. call, of each system, calls one.
type native struct {
	initializeProc, initializeFDProc, uninitializeProc, resetProc, statusProc uintptr
	readProc, readFDProc, writeProc, writeFDProc, getProc, setProc            uintptr
}

// An export is a function of the library: its name, and where its address is put.
type export struct {
	name   string
	proc   *uintptr
	needed bool
}

// exports returns all. The functions for CAN FD are needed only with fd: versions before 4.0
// have none.
func (l *native) exports(fd bool) []export {
	return []export{
		{"CAN_Initialize", &l.initializeProc, true},
		{"CAN_Uninitialize", &l.uninitializeProc, true},
		{"CAN_Reset", &l.resetProc, true},
		{"CAN_GetStatus", &l.statusProc, true},
		{"CAN_Read", &l.readProc, true},
		{"CAN_Write", &l.writeProc, true},
		{"CAN_GetValue", &l.getProc, true},
		{"CAN_SetValue", &l.setProc, true},
		{"CAN_InitializeFD", &l.initializeFDProc, fd},
		{"CAN_ReadFD", &l.readFDProc, fd},
		{"CAN_WriteFD", &l.writeFDProc, fd},
	}
}

func (l *native) initialize(channel, btr0btr1 uint16) status {
	// The last three are for hardware that is not plug and play.
	return call(l.initializeProc, uintptr(channel), uintptr(btr0btr1), 0, 0, 0)
}

func (l *native) initializeFD(channel uint16, timing string) status {
	text := append([]byte(timing), 0) // it has no other 0: see parseTiming
	return call(l.initializeFDProc, uintptr(channel), uintptr(unsafe.Pointer(unsafe.SliceData(text))))
}

func (l *native) uninitialize(channel uint16) status {
	return call(l.uninitializeProc, uintptr(channel))
}

func (l *native) reset(channel uint16) status {
	return call(l.resetProc, uintptr(channel))
}

func (l *native) status(channel uint16) status {
	return call(l.statusProc, uintptr(channel))
}

func (l *native) read(channel uint16, m *message, t *timestamp) status {
	return call(l.readProc, uintptr(channel), uintptr(unsafe.Pointer(m)), uintptr(unsafe.Pointer(t)))
}

func (l *native) readFD(channel uint16, m *messageFD, micros *uint64) status {
	return call(l.readFDProc, uintptr(channel), uintptr(unsafe.Pointer(m)), uintptr(unsafe.Pointer(micros)))
}

func (l *native) write(channel uint16, m *message) status {
	return call(l.writeProc, uintptr(channel), uintptr(unsafe.Pointer(m)))
}

func (l *native) writeFD(channel uint16, m *messageFD) status {
	return call(l.writeFDProc, uintptr(channel), uintptr(unsafe.Pointer(m)))
}

func (l *native) get(channel uint16, p parameter, value []byte) status {
	return call(l.getProc, uintptr(channel), uintptr(p), uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(len(value)))
}

func (l *native) set(channel uint16, p parameter, value []byte) status {
	return call(l.setProc, uintptr(channel), uintptr(p), uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(len(value)))
}
