//go:build unix

package candump

import (
	"io/fs"
	"os"
	"syscall"
)

// wakeReader ends an os.Open of a FIFO that waits for a program that writes to it: it opens
// the FIFO for writing. It returns the file to close once os.Open has returned.
func wakeReader(file string) *os.File {
	if info, err := os.Stat(file); err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		return nil
	}
	f, err := os.OpenFile(file, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil // not ours to write to: the call is left behind
	}
	return f
}
