package canlog_test

import (
	"fmt"
	"io"
	"log"
	"os"
	"strings"

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
