//go:build !linux

package main

import (
	"errors"
	"os"
	"runtime"
)

func openTun(string, int, []ipPrefix) (*os.File, string, error) {
	return nil, "", errors.New("only Linux has interfaces for programs to make packets of, and this is " + runtime.GOOS)
}
