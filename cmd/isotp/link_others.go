//go:build !linux

package main

import (
	"errors"
	"runtime"
)

var errNoInterfaces = errors.New("only Linux has CAN interfaces, and this is " + runtime.GOOS)

func addVcan(string) error { return errNoInterfaces }

func canInterfaces() ([]interfaceInfo, error) { return nil, errNoInterfaces }

func haveRaw() error { return errNoInterfaces }

func setLinkUp(string, linkSetting) error { return errNoInterfaces }

func setLinkDown(string) error { return errNoInterfaces }
