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

// ProbeKernel returns what the running kernel's ISO-TP can do. If it has none, or one
// that isotp:kernel cannot use, the error says why and is errors.ErrUnsupported.
func ProbeKernel() (KernelInfo, error) { return KernelInfo{}, errNoKernel }
