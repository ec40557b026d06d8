package j2534

import (
	"bytes"
	"strings"
	"syscall"
	"unsafe"

	"example.com/isotp/canbus/internal/vendorlib"
)

// A native is an adapter's library: the addresses of its functions. They have the calling
// convention of Windows, stdcall on 32 bits; long and unsigned long have 32 bits.
type native struct {
	openProc, closeProc, connectProc, disconnectProc, readProc, writeProc uintptr
	startFilterProc, ioctlProc, versionProc, lastErrorProc                uintptr
}

// load loads a library.
func load(file string) (library, error) {
	dll, err := vendorlib.Load(file)
	if err != nil {
		return nil, err
	}
	l := new(native)
	err = dll.Bind([]vendorlib.Export{
		{Name: "PassThruOpen", Proc: &l.openProc},
		{Name: "PassThruClose", Proc: &l.closeProc},
		{Name: "PassThruConnect", Proc: &l.connectProc},
		{Name: "PassThruDisconnect", Proc: &l.disconnectProc},
		{Name: "PassThruReadMsgs", Proc: &l.readProc},
		{Name: "PassThruWriteMsgs", Proc: &l.writeProc},
		{Name: "PassThruStartMsgFilter", Proc: &l.startFilterProc},
		{Name: "PassThruIoctl", Proc: &l.ioctlProc},
		{Name: "PassThruReadVersion", Proc: &l.versionProc, Optional: true},
		{Name: "PassThruGetLastError", Proc: &l.lastErrorProc, Optional: true},
	}...)
	if err != nil {
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

func (l *native) open() (device uint32, s status) {
	s = call(l.openProc, 0, uintptr(unsafe.Pointer(&device))) // without a name: any that is connected
	return device, s
}

func (l *native) close(device uint32) status { return call(l.closeProc, uintptr(device)) }

func (l *native) connect(device, protocol, flags, bitrate uint32) (channel uint32, s status) {
	s = call(l.connectProc, uintptr(device), uintptr(protocol), uintptr(flags), uintptr(bitrate), uintptr(unsafe.Pointer(&channel)))
	return channel, s
}

func (l *native) disconnect(channel uint32) status { return call(l.disconnectProc, uintptr(channel)) }

func (l *native) read(channel uint32, list []message, wait uint32) (int, status) {
	return transfer(l.readProc, channel, list, wait)
}

func (l *native) write(channel uint32, list []message, wait uint32) (int, status) {
	return transfer(l.writeProc, channel, list, wait)
}

// transfer reads or writes messages. The function gets how many there are, and says how many it
// has read or taken.
func transfer(proc uintptr, channel uint32, list []message, wait uint32) (int, status) {
	n := uint32(len(list))
	s := call(proc, uintptr(channel), uintptr(unsafe.Pointer(unsafe.SliceData(list))), uintptr(unsafe.Pointer(&n)), uintptr(wait))
	return int(min(n, uint32(len(list)))), s
}

func (l *native) startFilter(channel, kind uint32, mask, pattern *message) status {
	var id uint32
	return call(l.startFilterProc, uintptr(channel), uintptr(kind),
		uintptr(unsafe.Pointer(mask)), uintptr(unsafe.Pointer(pattern)), 0, uintptr(unsafe.Pointer(&id)))
}

const ioctlSetConfig = 0x02

func (l *native) set(channel, parameter, value uint32) status {
	config := struct{ parameter, value uint32 }{parameter, value} // SCONFIG
	list := struct {                                              // SCONFIG_LIST
		number uint32
		config unsafe.Pointer
	}{1, unsafe.Pointer(&config)}
	return call(l.ioctlProc, uintptr(channel), ioctlSetConfig, uintptr(unsafe.Pointer(&list)), 0)
}

func (l *native) ioctl(channel, id uint32) status {
	return call(l.ioctlProc, uintptr(channel), uintptr(id), 0, 0)
}

// A text is for what a library writes: 80 bytes by the standard, and more for those that do
// not keep to it.
type text [512]byte

func (t *text) String() string {
	b, _, _ := bytes.Cut(t[:], []byte{0})
	return strings.TrimSpace(strings.ToValidUTF8(string(b), "?"))
}

func (l *native) version(device uint32) (firmware, library, api string, s status) {
	if l.versionProc == 0 {
		return "", "", "", errNotSupported
	}
	var f, d, a text
	s = call(l.versionProc, uintptr(device), uintptr(unsafe.Pointer(&f)), uintptr(unsafe.Pointer(&d)), uintptr(unsafe.Pointer(&a)))
	return f.String(), d.String(), a.String(), s
}

func (l *native) lastError() string {
	if l.lastErrorProc == 0 {
		return ""
	}
	var t text
	if call(l.lastErrorProc, uintptr(unsafe.Pointer(&t))) != ok {
		return ""
	}
	return t.String()
}
