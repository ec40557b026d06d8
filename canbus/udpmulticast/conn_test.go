package udpmulticast

import (
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/conntest"
	"example.com/isotp/test/netns"
)

func TestConnIsANetConn(t *testing.T) {
	netns.Need(t)
	for name, group := range map[string]string{"IPv4": group4, "IPv6": group6} {
		t.Run(name, func(t *testing.T) {
			conntest.Run(t, func() (a, b canbus.Bus, stop func(), err error) {
				// The blocks are short enough for the socket's buffer.
				if a, err = Open(group + "@none"); err != nil {
					return nil, nil, nil, err
				}
				b, err = Open(group + "@none")
				return a, b, nil, err
			}, isotpnet.Config{FD: true, BRS: true, BlockSize: 50})
		})
	}
}
