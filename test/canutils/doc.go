// Package canutils tests this module against Debian's can-utils: what their ISO-TP
// programs send, receive, print and tunnel, against both backends, and the logs that
// candump writes and canplayer and log2asc read.
//
//	go build -o test/.bin/isotp ./cmd/isotp
//	test/vm/run -a can-utils -a test/.bin/isotp ./test/canutils
//
// The second -a is for the tests that compare our command with theirs. Without CAN, or without
// can-utils, its tests are skipped; in a machine of test/vm that is a failure.
package canutils
