// Package canlog reads and writes logs of CAN buses in the formats that the field's
// programs use, frame by frame.
//
//	r, err := canlog.Open("drive.log.gz")
//	if err != nil {
//		return err
//	}
//	defer r.Close()
//	var f canbus.Frame
//	for {
//		bus, err := r.ReadFrame(&f)
//		switch {
//		case err == io.EOF:
//			return nil
//		case errors.Is(err, canbus.ErrTemporary):
//			log.Print(err) // a line or record that is no frame; the next call goes on
//		case err != nil:
//			return err
//		default:
//			fmt.Println(bus, f)
//		}
//	}
//
// A [Reader] finds the format by what the log begins with; what gzip has compressed is
// read as it is. It keeps nothing of what it has read: memory does not grow with the log,
// whatever that says.
//
// # Formats
//
// Not every format can say everything of a frame. [Writer.Losses] tells what was left out.
//
//	           interfaces  times     sent or received  error frames
//	candump    names       1 us      yes               yes
//	screen     names       1 us      yes               yes
//	asc        1 to 255    1 us      yes               that there was one
//	trc        1 to 255    1 us      yes               that there was one
//	blf        1 to 255    1 ns      yes               that there was one
//	pcap       one         1 ns      no                yes
//	pcapng     names       1 ns      yes               yes
//
// Some recorders use the number 0 for what has none: it is read too, with Frame.Channel 0.
// All have frames of classic CAN and CAN FD, with BRS and ESI, identifiers of 11 and 29
// bits, and remote frames. Times of day of ASC, TRC and BLF are those of the local time
// zone ([time.Local]), which they do not name. TRC is read in the versions 1.0 to 2.1 and
// written in 2.1; captures are read if their packets are of SocketCAN, or of Linux's
// "any" with SocketCAN among them.
package canlog
