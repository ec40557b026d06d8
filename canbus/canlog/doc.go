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
// read as it is. It keeps nothing of what it has read: memory does not grow with the log.
package canlog
