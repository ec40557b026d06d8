//go:build !linux

package isotpnet

import (
	"errors"
	"runtime"
)

var errNoKernel = &backendError{backendKernel, errors.New("it is Linux's, and this is " + runtime.GOOS)}

func (d *Dialer) dialKernel(string, Addr) (*Conn, error) { return nil, errNoKernel }

func (lc *ListenConfig) listenKernel(string, Addr) (acceptor, error) {
	return nil, errNoKernel
}
