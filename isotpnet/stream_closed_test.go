package isotpnet

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"example.com/isotp/canbus/virtual"
)

// The transport of streams is closed under them: their calls return net.ErrClosed, and none
// waits for ever.
func TestStreamsOfAnEndpointThatIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := virtual.New(virtual.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		tap1, err1 := n.Tap()
		tap2, err2 := n.Tap()
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		defer tap1.Close()
		defer tap2.Close()
		lc := ListenConfig{Bus: tap2}
		ln, err := lc.ListenStream(t.Context(), "isotp-stream:user", MustParseAddr("/7E8:7E0"))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		d := Dialer{Bus: tap1}
		c, err := d.DialStream(t.Context(), "isotp-stream:user", MustParseAddr("/7E0:7E8"))
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		c.pair.conn.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read: %v, want %v", err, net.ErrClosed)
		}
		if _, err := c.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write: %v, want %v", err, net.ErrClosed)
		}
		c.Close()
	})
}
