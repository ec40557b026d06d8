// Package fake is how the tests of canbus/pcan, canbus/kvaser and canbus/j2534 ask the fakes of
// the adapters' libraries for faults, on Windows: README.md of the folder above tells what there is.
package fake
