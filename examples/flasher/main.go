// Flasher programs an ECU over UDS (ISO 14229): it downloads a file in blocks, and compares the
// ECU's checksum.
//
//	go run ./examples/flasher firmware.bin can0/7E0:7E8
//
// Without hardware there is a simulated ECU, which is started first; both are on a bus of
// multicast datagrams if they are not told another:
//
//	go run ./cmd/isotp ecu udp:239.74.163.2:43113/7E8:7E0    (in another terminal)
//	go run ./examples/flasher go.sum
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"math"
	"os"
	"os/signal"
	"strings"

	_ "example.com/isotp/canbus/all" // the user names the bus
	"example.com/isotp/examples/udsclient"
)

// UDS' services.
const (
	sessionControl  = 0x10
	requestDownload = 0x34
	transferData    = 0x36
	transferExit    = 0x37
)

const (
	programming = 0x02 // the session
	memory      = 0    // the address that is programmed
)

// flash programs the ECU, and calls progress with how many bytes it has taken.
func flash(ctx context.Context, c *udsclient.Client, image []byte, progress func(done int)) error {
	if _, err := c.Request(ctx, sessionControl, programming); err != nil {
		return fmt.Errorf("programming session: %w", err)
	}
	blockSize, err := begin(ctx, c, len(image))
	if err != nil {
		return fmt.Errorf("request of a download: %w", err)
	}
	for done, number := 0, byte(1); done < len(image); number++ {
		block := image[done:min(done+blockSize, len(image))]
		if err := transfer(ctx, c, number, block); err != nil {
			return fmt.Errorf("%d of %d bytes: %w", done, len(image), err)
		}
		done += len(block)
		progress(done)
	}
	// What follows the service is up to the ECU's maker. Here it is a CRC-32.
	sum, err := c.Request(ctx, transferExit)
	switch {
	case err != nil:
		return fmt.Errorf("end of the download: %w", err)
	case len(sum) != 4:
		return fmt.Errorf("end of the download: a checksum of %d bytes, not 4", len(sum))
	case binary.BigEndian.Uint32(sum) != crc32.ChecksumIEEE(image):
		return fmt.Errorf("the ECU has received something else: its checksum is %X, not %08X", sum, crc32.ChecksumIEEE(image))
	}
	return nil
}

// begin returns how many bytes a block may have.
func begin(ctx context.Context, c *udsclient.Client, size int) (int, error) {
	request := []byte{requestDownload, 0, 0x44} // as it is; 4 bytes of size, 4 of address
	request = binary.BigEndian.AppendUint32(request, memory)
	request = binary.BigEndian.AppendUint32(request, uint32(size))
	answer, err := c.Request(ctx, request...)
	if err != nil {
		return 0, err
	}
	if len(answer) == 0 || len(answer) != 1+int(answer[0]>>4) {
		return 0, fmt.Errorf("the ECU answers % X, which is no length of blocks", answer)
	}
	var length int
	for _, b := range answer[1:] {
		length = min(length<<8|int(b), 4095) // no longer than most ECUs' messages
	}
	if length < 3 {
		return 0, fmt.Errorf("the ECU wants blocks of %d bytes, service and number included", length)
	}
	return length - 2, nil
}

func transfer(ctx context.Context, c *udsclient.Client, number byte, block []byte) error {
	answer, err := c.Request(ctx, append([]byte{transferData, number}, block...)...)
	if err == nil && (len(answer) == 0 || answer[0] != number) {
		err = fmt.Errorf("the ECU answers % X to block %02X", answer, number)
	}
	return err
}

// bar returns a function that draws a bar of what is done.
func bar(w io.Writer, total int) func(done int) {
	const width = 40
	return func(done int) {
		full := width * done / total
		fmt.Fprintf(w, "\r[%s%s] %3d %%", strings.Repeat("#", full), strings.Repeat(".", width-full), 100*done/total)
		if done == total {
			fmt.Fprintln(w)
		}
	}
}

func run(ctx context.Context, w io.Writer, file, address string) error {
	image, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if len(image) == 0 || uint64(len(image)) > math.MaxUint32 { // its size has 4 bytes
		return fmt.Errorf("%s has %d bytes, not from 1 to %d", file, len(image), uint32(math.MaxUint32))
	}
	c, err := udsclient.Dial(ctx, address)
	if err != nil {
		return err
	}
	defer c.Close()
	err = flash(ctx, c, image, bar(w, len(image)))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("the ECU does not answer")
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(w, "%s: %d bytes, checksum %08X\n", file, len(image), crc32.ChecksumIEEE(image))
	return err
}

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: flasher FILE [BUS/SEND:LISTEN], as in firmware.bin can0/7E0:7E8")
	}
	address := "udp:239.74.163.2:43113/7E0:7E8"
	if len(os.Args) > 2 {
		address = os.Args[2]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, os.Args[1], address); err != nil {
		log.Fatal(err)
	}
}
