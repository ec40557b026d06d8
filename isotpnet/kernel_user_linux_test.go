package isotpnet

import (
	"syscall"
	"testing"
)

func TestPairInUseByTheOtherBackend(t *testing.T) {
	for _, networks := range [][2]string{{"isotp:kernel", "isotp:user"}, {"isotp:user", "isotp:kernel"}} {
		name := newInterface(t)
		c := new(Dialer).mustDial(t, networks[0], name+"/7E0:7E8")
		_, err := Dial(networks[1], name+"/7E1:7E8")
		wantError(t, err, syscall.EADDRINUSE)
		_, err = Listen(networks[1], name+"/7E0:7E8")
		wantError(t, err, syscall.EADDRINUSE)
		c.Close()
		l, err := Listen(networks[1], name+"/7E0:7E8")
		if err != nil {
			t.Fatal(err)
		}
		_, err = Dial(networks[0], name+"/7E0:7E8")
		wantError(t, err, syscall.EADDRINUSE)
		l.Close()
		new(Dialer).mustDial(t, networks[0], name+"/7E0:7E8")
	}
}

func TestIsotpOnAnInterfaceChoosesByTheConfig(t *testing.T) {
	name := newInterface(t)
	for _, test := range []struct {
		config Config
		addr   string
		want   string
	}{
		{Config{}, "7E0:7E8", "kernel"},
		{Config{FD: true, BlockSize: 8}, "7E0:7E8", "kernel"},
		{Config{MaxWaitFramesReceived: 3}, "7E0:7E8", "user"},
		{Config{}, "fixed:10:F1", "user"},
		{Config{}, "func:33:F1", "kernel"},
	} {
		c := (&Dialer{Config: test.config}).mustDial(t, "isotp", name+"/"+test.addr)
		if got := c.Backend(); got != test.want {
			t.Errorf("%s: %s, want %s", test.addr, got, test.want)
		}
		c.Close()
	}
}
