package kvaser

import (
	"fmt"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"example.com/isotp/canbus/internal/vendorlib"
)

// file is CANlib. It has this name on 64 bits too.
const file = "canlib32.dll"

// load loads CANlib, once.
var load = sync.OnceValues(func() (library, error) {
	l := new(canlib)
	if err := l.load(); err != nil {
		return nil, fmt.Errorf("kvaser: %w (it is a part of Kvaser Drivers for Windows, https://kvaser.com/download)", err)
	}
	return l, nil
})

// canlib has the addresses of CANlib's functions. They have the calling convention of Windows;
// int, long and canStatus have 32 bits.
type canlib struct {
	canInitializeLibrary, canGetNumberOfChannels, canGetChannelData, canOpenChannel, canClose,
	canSetBusParams, canSetBusParamsFd, canGetBusParams, canSetBusOutputControl,
	canBusOn, canBusOff, canIoCtl, canRead, canWrite, canWriteSync, canReadStatus,
	canReadErrorCounters uintptr
}

func (l *canlib) load() error {
	dll, err := vendorlib.Load(file)
	if err != nil {
		return err
	}
	err = dll.Bind([]vendorlib.Export{
		{Name: "canInitializeLibrary", Proc: &l.canInitializeLibrary},
		{Name: "canGetNumberOfChannels", Proc: &l.canGetNumberOfChannels},
		{Name: "canGetChannelData", Proc: &l.canGetChannelData},
		{Name: "canOpenChannel", Proc: &l.canOpenChannel},
		{Name: "canClose", Proc: &l.canClose},
		{Name: "canSetBusParams", Proc: &l.canSetBusParams},
		{Name: "canSetBusParamsFd", Proc: &l.canSetBusParamsFd, Optional: true}, // since 2013
		{Name: "canGetBusParams", Proc: &l.canGetBusParams},
		{Name: "canSetBusOutputControl", Proc: &l.canSetBusOutputControl},
		{Name: "canBusOn", Proc: &l.canBusOn},
		{Name: "canBusOff", Proc: &l.canBusOff},
		{Name: "canIoCtl", Proc: &l.canIoCtl},
		{Name: "canRead", Proc: &l.canRead},
		{Name: "canWrite", Proc: &l.canWrite},
		{Name: "canWriteSync", Proc: &l.canWriteSync},
		{Name: "canReadStatus", Proc: &l.canReadStatus},
		{Name: "canReadErrorCounters", Proc: &l.canReadErrorCounters},
	}...)
	if err != nil {
		return err
	}
	call(l.canInitializeLibrary)
	return nil
}

// call calls a function of CANlib. Arguments may be pointers, to what stays where it is
// meanwhile. The status is in the lower half of a register on 64 bits.
//
//go:uintptrescapes
func call(proc uintptr, args ...uintptr) status {
	r, _, _ := syscall.SyscallN(proc, args...)
	return status(int32(r))
}

// arg passes an int or a long.
func arg(n int32) uintptr { return uintptr(uint32(n)) }

func (l *canlib) numberOfChannels() (int, status) {
	var n int32
	s := call(l.canGetNumberOfChannels, uintptr(unsafe.Pointer(&n)))
	return int(n), s
}

func (l *canlib) channelData(channel int, item int32, buf []byte) status {
	return call(l.canGetChannelData, uintptr(channel), arg(item), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
}

func (l *canlib) open(channel int, flags int32) int32 {
	return int32(call(l.canOpenChannel, uintptr(channel), arg(flags)))
}

func (l *canlib) close(h int32) status { return call(l.canClose, arg(h)) }

func (l *canlib) setBusParams(h int32, t timing) status {
	const samples = 1 // of each bit
	return call(l.canSetBusParams, arg(h), arg(t.bitrate), uintptr(t.tseg1), uintptr(t.tseg2), uintptr(t.sjw), samples, 0)
}

func (l *canlib) setBusParamsFD(h int32, t timing) status {
	if l.canSetBusParamsFd == 0 {
		return errNotThere
	}
	return call(l.canSetBusParamsFd, arg(h), arg(t.bitrate), uintptr(t.tseg1), uintptr(t.tseg2), uintptr(t.sjw))
}

func (l *canlib) busParams(h int32) (bitrate int32, s status) {
	var rest [5]uint32 // each of them has to be there
	s = call(l.canGetBusParams, arg(h), uintptr(unsafe.Pointer(&bitrate)),
		uintptr(unsafe.Pointer(&rest[0])), uintptr(unsafe.Pointer(&rest[1])), uintptr(unsafe.Pointer(&rest[2])),
		uintptr(unsafe.Pointer(&rest[3])), uintptr(unsafe.Pointer(&rest[4])))
	return bitrate, s
}

func (l *canlib) setBusOutputControl(h int32, mode uint32) status {
	return call(l.canSetBusOutputControl, arg(h), uintptr(mode))
}

func (l *canlib) busOn(h int32) status  { return call(l.canBusOn, arg(h)) }
func (l *canlib) busOff(h int32) status { return call(l.canBusOff, arg(h)) }

func (l *canlib) ioctl(h int32, function uint32, buf []byte) status {
	return call(l.canIoCtl, arg(h), uintptr(function), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
}

func (l *canlib) read(h int32, m *message) status {
	return call(l.canRead, arg(h), uintptr(unsafe.Pointer(&m.id)), uintptr(unsafe.Pointer(&m.data)),
		uintptr(unsafe.Pointer(&m.len)), uintptr(unsafe.Pointer(&m.flags)), uintptr(unsafe.Pointer(&m.time)))
}

func (l *canlib) write(h int32, m *message) status {
	return call(l.canWrite, arg(h), arg(m.id), uintptr(unsafe.Pointer(&m.data)), uintptr(m.len), uintptr(m.flags))
}

func (l *canlib) writeSync(h int32, milliseconds uint32) status {
	return call(l.canWriteSync, arg(h), uintptr(milliseconds))
}

func (l *canlib) readStatus(h int32) (flags uint32, s status) {
	s = call(l.canReadStatus, arg(h), uintptr(unsafe.Pointer(&flags)))
	return flags, s
}

func (l *canlib) readErrorCounters(h int32) (tx, rx uint32, s status) {
	var overruns uint32
	s = call(l.canReadErrorCounters, arg(h), uintptr(unsafe.Pointer(&tx)), uintptr(unsafe.Pointer(&rx)), uintptr(unsafe.Pointer(&overruns)))
	return tx, rx, s
}

// eventWaiter waits for the event of a handle. CANlib sets it, and closes it with the handle.
type eventWaiter struct {
	events [2]windows.Handle // CANlib's, and one of our own
}

func (l *canlib) newWaiter(h int32) (waiter, status) {
	var event windows.Handle
	if s := l.ioctl(h, ioctlGetEventHandle, unsafe.Slice((*byte)(unsafe.Pointer(&event)), unsafe.Sizeof(event))); s < ok {
		return nil, s
	}
	own, err := windows.CreateEvent(nil, 0, 0, nil)
	if err != nil {
		return nil, errInternal
	}
	return &eventWaiter{[2]windows.Handle{event, own}}, ok
}

func (w *eventWaiter) wait(d time.Duration) status {
	milliseconds := uint32(max(d, 0)/time.Millisecond) + 1
	if _, err := windows.WaitForMultipleObjects(w.events[:], false, milliseconds); err != nil {
		return errInternal
	}
	return ok
}

func (w *eventWaiter) wake()  { windows.SetEvent(w.events[1]) }
func (w *eventWaiter) close() { windows.CloseHandle(w.events[1]) }
