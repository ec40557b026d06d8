// Package fake is how the tests of canbus/pcan and canbus/kvaser ask the fakes of the
// makers' libraries for faults, on Windows: README.md of the folder above tells what there is.
package fake
