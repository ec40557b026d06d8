//go:build unix

package all_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// A FIFO that no program writes to.
func init() {
	slowBuses["candump"] = func(t *testing.T) slowBus {
		path := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		opening := make(chan struct{})
		close(opening)
		return slowBus{"candump:" + path, opening, func() error {
			// The driver may not have begun to open the FIFO, and wakes itself by its name: it stays until
			// all goroutines have ended.
			return errors.Join(goleak.Find(), readerOf(path))
		}}
	}
}

// readerOf waits until no program has the FIFO open to read.
func readerOf(path string) error {
	for range 1000 {
		f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		switch {
		case errors.Is(err, syscall.ENXIO):
			return nil
		case err != nil:
			return err
		}
		f.Close()
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("%s is still open", path)
}
