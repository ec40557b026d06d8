package cannelloni

import (
	"encoding/binary"
	"io"
	"net"
	"sync"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
)

// A reference is another cannelloni, which puts the frames of a stream on a virtual bus, and
// those of the bus into the stream. It is written from the protocol's text alone, and shares
// nothing with the driver.
type reference struct {
	conn net.Conn
	bus  *virtual.Tap
}

// serve ends with the connection.
func (r *reference) serve() {
	var sending sync.WaitGroup
	sending.Go(func() { r.send() })
	r.receive()
	r.bus.Close()
	r.conn.Close()
	sending.Wait()
}

func (r *reference) receive() error {
	for {
		var head struct {
			ID  uint32
			Len uint8
		}
		if err := binary.Read(r.conn, binary.BigEndian, &head); err != nil {
			return err
		}
		f := canbus.Frame{ID: head.ID & 0x1FFFFFFF, Len: head.Len & 0x7F}
		if head.ID&0x80000000 > 0 {
			f.Flags = canbus.Extended
		}
		if head.Len&0x80 > 0 {
			var flags [1]byte
			if _, err := io.ReadFull(r.conn, flags[:]); err != nil {
				return err
			}
			f.Flags |= canbus.FD | [4]canbus.Flags{0, canbus.BRS, canbus.ESI, canbus.BRS | canbus.ESI}[flags[0]&3]
		}
		if head.ID&0x40000000 > 0 {
			f.Flags |= canbus.Remote
		} else if _, err := io.ReadFull(r.conn, f.Data[:f.Len]); err != nil {
			return err
		}
		if _, err := r.bus.WriteFrames([]canbus.Frame{f}); err != nil {
			return err
		}
	}
}

func (r *reference) send() error {
	for {
		var f [1]canbus.Frame
		if _, err := r.bus.ReadFrames(f[:]); err != nil {
			return err
		}
		if f[0].Has(canbus.Echo) {
			continue
		}
		if _, err := r.conn.Write(referenceFrame(&f[0])); err != nil {
			return err
		}
	}
}

// referenceFrame is a frame in the protocol's form.
func referenceFrame(f *canbus.Frame) []byte {
	b := binary.BigEndian.AppendUint32(nil, f.ID)
	if f.Has(canbus.Extended) {
		b[0] += 0x80
	}
	if f.Has(canbus.Remote) {
		b[0] += 0x40
	}
	if f.Has(canbus.ErrorFrame) {
		b[0] += 0x20
	}
	b = append(b, f.Len)
	if f.Has(canbus.FD) {
		b[4] += 0x80
		b = append(b, 0)
		if f.Has(canbus.BRS) {
			b[5]++
		}
		if f.Has(canbus.ESI) {
			b[5] += 2
		}
	}
	if f.Has(canbus.Remote) {
		return b
	}
	return append(b, f.Data[:f.Len]...)
}
