//go:build !linux

package slcan

func markInUse([]Port) {}
