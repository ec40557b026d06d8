//go:build !unix

package candump

import "os"

// wakeReader does nothing: on this system os.Open does not wait for a writer.
func wakeReader(string) *os.File { return nil }
