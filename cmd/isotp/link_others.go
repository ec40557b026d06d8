//go:build !linux

package main

import (
	"errors"
	"fmt"
	"runtime"
)

const haveInterfaces = false

var errNoInterfaces = fmt.Errorf("only Linux has CAN interfaces, and this is %s: %w", runtime.GOOS, errors.ErrUnsupported)

func addVcan(string) error { return errNoInterfaces }

func canInterfaces() ([]interfaceInfo, error) { return nil, errNoInterfaces }

func haveRaw() error { return errNoInterfaces }

func setLinkUp(string, linkSetting) error { return errNoInterfaces }

func setLinkDown(string) error { return errNoInterfaces }
