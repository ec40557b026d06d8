package ecu

import (
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// Services and negative response codes of a download.
const (
	requestDownload  = 0x34
	transferData     = 0x36
	transferExit     = 0x37
	wrongSequence    = 0x24
	tooMuch          = 0x71
	wrongBlockNumber = 0x73
)

const (
	maxDownload = 16 << 20
	maxBlock    = 4095 // bytes of a TransferData message
)

// A download takes what a tester programs the ECU with: RequestDownload, TransferData as
// often as it takes, RequestTransferExit, whose answer has the CRC-32 of all data. An ECU
// has one at a time. The data is not kept.
type download struct {
	mu     sync.Mutex // guards the others
	open   bool       // since RequestDownload, until RequestTransferExit
	left   uint64     // bytes that are still to come
	blocks uint64     // how many blocks have come; their numbers are the lowest 8 bits
	crc    uint32
}

// answer returns the answer to a request of one of the three services.
func (d *download) answer(request []byte) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch request[0] {
	case requestDownload:
		return d.begin(request)
	case transferData:
		return d.take(request)
	}
	return d.end(request)
}

// begin reads the format, the lengths of size and address, and both. Every address is right.
func (d *download) begin(request []byte) []byte {
	if len(request) < 3 {
		return []byte{negative, requestDownload, wrongLength}
	}
	sizeLen, addressLen := int(request[2]>>4), int(request[2]&15)
	switch {
	case sizeLen == 0 || sizeLen > 8 || addressLen == 0 || request[1] != 0: // neither compressed nor encrypted
		return []byte{negative, requestDownload, outOfRange}
	case len(request) != 3+addressLen+sizeLen:
		return []byte{negative, requestDownload, wrongLength}
	}
	var size [8]byte
	copy(size[8-sizeLen:], request[3+addressLen:])
	n := binary.BigEndian.Uint64(size[:])
	if n == 0 || n > maxDownload {
		return []byte{negative, requestDownload, outOfRange}
	}
	d.open, d.left, d.blocks, d.crc = true, n, 0, 0
	return []byte{requestDownload + positive, 0x20, maxBlock >> 8, maxBlock & 0xFF}
}

// take takes a block. A block that comes a second time was taken, and only its answer lost.
func (d *download) take(request []byte) []byte {
	switch {
	case !d.open:
		return []byte{negative, transferData, wrongSequence}
	case len(request) < 3:
		return []byte{negative, transferData, wrongLength}
	}
	block, data := request[1], request[2:]
	switch {
	case block == byte(d.blocks) && d.blocks > 0:
		return []byte{transferData + positive, block}
	case block != byte(d.blocks+1):
		return []byte{negative, transferData, wrongBlockNumber}
	case uint64(len(data)) > d.left:
		return []byte{negative, transferData, tooMuch}
	}
	d.left -= uint64(len(data))
	d.blocks++
	d.crc = crc32.Update(d.crc, crc32.IEEETable, data)
	return []byte{transferData + positive, block}
}

func (d *download) end(request []byte) []byte {
	switch {
	case len(request) != 1:
		return []byte{negative, transferExit, wrongLength}
	case !d.open || d.left > 0:
		return []byte{negative, transferExit, wrongSequence}
	}
	d.open = false
	return binary.BigEndian.AppendUint32([]byte{transferExit + positive}, d.crc)
}
