package isotpnet_test

import (
	"net"
	"testing"

	"example.com/isotp/isotpnet"
)

// With SplitWrites code that knows nothing of messages works on the kernel's
// backend, too.
func TestKernelCopiesFromAnySource(t *testing.T) {
	for name, config := range map[string]isotpnet.Config{
		"classic": {SplitWrites: true, ReadBuffer: 8 << 20},
		"FD":      {SplitWrites: true, ReadBuffer: 8 << 20, FD: true},
	} {
		t.Run(name, func(t *testing.T) {
			wantCopies(t, func(t *testing.T) (c1, c2 net.Conn) {
				bus := newKernelLink(t)
				dial := func(address string) net.Conn {
					d := isotpnet.Dialer{Config: config}
					c, err := d.Dial("isotp:kernel", bus+address)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { c.Close() })
					return c
				}
				return dial(testerAddr), dial(ecuAddr)
			})
		})
	}
}
