package isotpnet_test

import (
	"net"
	"testing"

	"example.com/isotp/isotpnet"
	"golang.org/x/net/nettest"
)

func TestPipeIsAConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		p1, p2, err := isotpnet.Pipe(nil)
		if err != nil {
			return nil, nil, nil, err
		}
		return p1, p2, func() { p1.Close(); p2.Close() }, nil
	})
}
