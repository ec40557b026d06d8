// Package canutils tests this module against Debian's can-utils: what their ISO-TP
// programs send, receive, print and tunnel, against both backends, and the logs that
// candump writes and canplayer and log2asc read.
//
//	test/vm/run -a can-utils ./test/canutils
//
// Without CAN, or without can-utils, its tests are skipped; in a machine of
// test/vm that is a failure.
package canutils
