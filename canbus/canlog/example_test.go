package canlog_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/canlog"
)

// A log of can-utils is read, changed and written; other formats have other names and contents.
func Example() {
	r, err := canlog.NewReader(strings.NewReader("(1792.500000) can0 7E0#0322F190\n(1792.501000) can0 7E8#037F2231\n"))
	if err != nil {
		log.Fatal(err)
	}
	format, _ := canlog.FormatByName("drive.log")
	w, err := canlog.NewWriter(os.Stdout, format)
	if err != nil {
		log.Fatal(err)
	}
	var f canbus.Frame
	for {
		bus, err := r.ReadFrame(&f)
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		f.Len = 3 // the log without the last byte of each frame
		if err := w.WriteFrame(&f, bus); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(w.Close())
	// Output:
	// (0000001792.500000) can0 7E0#0322F1
	// (0000001792.501000) can0 7E8#037F22
	// <nil>
}

// Not every format can say everything of a frame: what a log lacks is told at its end.
func ExampleLoss() {
	w, err := canlog.NewWriter(io.Discard, canlog.PCAP)
	if err != nil {
		log.Fatal(err)
	}
	for _, bus := range []string{"can0", "can1"} {
		f := canbus.Frame{ID: 0x7E0, Len: 8, Flags: canbus.Echo} // we have sent it
		f.Stamp(time.Now().UnixNano())
		if err := w.WriteFrame(&f, bus); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	for _, loss := range w.Losses() {
		fmt.Printf("not said of %d: %s\n", loss.Frames, loss.What)
	}
	// Output:
	// not said of 2: that they were sent, and not received
	// not said of 1: which of several interfaces they are of
}

// A damaged record is told with its place, and reading goes on behind it.
func ExampleRecordError() {
	r, err := canlog.NewReader(strings.NewReader("(1.000000) can0 7E0#023E00\n(2.000000) can0 7E8#02zz00\n(3.000000) can0 7E0#013E\n"))
	if err != nil {
		log.Fatal(err)
	}
	var f canbus.Frame
	for {
		_, err := r.ReadFrame(&f)
		if bad, ok := errors.AsType[*canlog.RecordError](err); ok {
			fmt.Printf("line %d of a log of %v is left out: %s\n", bad.Line, bad.Format, bad.Text)
			continue
		}
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(f)
	}
	// Output:
	// 7E0#023E00
	// line 2 of a log of candump is left out: (2.000000) can0 7E8#02zz00
	// 7E0#013E
	// EOF
}

// A file that is no log of any program: the error shows the line by which it was told.
func ExampleUnknownFormatError() {
	r, err := canlog.NewReader(strings.NewReader("Dear colleagues,\nthe log is attached.\n"))
	if err == nil {
		_, err = r.ReadFrame(new(canbus.Frame))
	}
	if unknown, ok := errors.AsType[*canlog.UnknownFormatError](err); ok {
		fmt.Printf("line %d: %q\n", unknown.Line, unknown.Text)
	}
	// Output: line 1: "Dear colleagues,"
}
