package isotpnet

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand"
	"os"
	"slices"
	"testing"
	"time"

	"example.com/isotp/test/scale"
	"example.com/isotp/test/vm/cantest"
)

// Calls that end early, and what goes beside a Write that is under way: on both
// backends the same, but for what the package's documentation says.

func onBothBackends(t *testing.T, f func(t *testing.T, network string)) {
	cantest.Need(t)
	for _, network := range []string{"isotp:user", "isotp:kernel"} {
		t.Run(network, func(t *testing.T) { f(t, network) })
	}
}

// No First Frame goes out before the message given up has ended, or its flow control has
// come, and no Consecutive Frame without the flow control of its own message. What
// becomes of the message given up is different.
func TestBackendsAfterAWriteGivenUp(t *testing.T) {
	onBothBackends(t, func(t *testing.T, network string) {
		name := newInterface(t)
		peer := newRawPeer(t, name)
		c := new(Dialer).mustDial(t, network, name+"/7E0:7E8")
		c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := c.Write(twenty)
		wantError(t, err, os.ErrDeadlineExceeded)
		c.SetWriteDeadline(time.Time{})
		done := writing(c, times(20))
		if got := peer.frames(1); !slices.Equal(got, []string{ffA}) {
			t.Fatalf("%v, want the First Frame of the message given up", got)
		}
		peer.send("7E8#300000") // late
		want := []string{ffB}
		if network == "isotp:kernel" {
			want = []string{"7E0#216768696A6B6C6D", "7E0#226E6F7071727374", ffB}
		}
		if got := peer.frames(len(want)); !slices.Equal(got, want) {
			t.Fatalf("%v after the late flow control, want %v", got, want)
		}
		peer.send("7E8#300000")
		if got, want := peer.frames(2), []string{second, third}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		must(t, <-done)
	})
}

func TestBackendsWriteFunctionalDuringAWrite(t *testing.T) {
	onBothBackends(t, func(t *testing.T, network string) {
		name := newInterface(t)
		peer := newRawPeer(t, name)
		c := (&Dialer{Functional: MustParseAddr("/7DF:")}).mustDial(t, network, name+"/7E0:7E8")
		done := writing(c, times(27))
		peer.expect(first27)
		peer.send("7E8#30007F") // STmin 127 ms
		peer.expect(second)
		if _, err := c.WriteFunctional([]byte{0x3E, 0x80}); err != nil {
			t.Fatal(err)
		}
		peer.expect("7DF#023E80CCCCCCCCCC", third, fourth)
		must(t, <-done)
	})
}

func TestBackendsWriteLongerThanMaxSendSize(t *testing.T) {
	onBothBackends(t, func(t *testing.T, network string) {
		name := newInterface(t)
		c := (&Dialer{Config: Config{MaxSendSize: 100}}).mustDial(t, network, name+"/7E0:7E8")
		n, err := c.Write(make([]byte, 101))
		wantError(t, err, ErrMessageTooLong)
		if e, ok := errors.AsType[*MessageTooLongError](err); n != 0 || !ok || e.Size != 101 || e.Max != 100 {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestBackendsCopyOneLongWrite(t *testing.T) {
	want := make([]byte, scale.Down(1<<20, 300<<10))
	rand.New(rand.NewSource(1)).Read(want)
	onBothBackends(t, func(t *testing.T, network string) {
		for name, fd := range map[string]bool{"classic": false, "FD": true} {
			t.Run(name, func(t *testing.T) {
				name := newInterface(t)
				d := &Dialer{Config: Config{FD: fd, SplitWrites: true}}
				c1 := d.mustDial(t, network, name+"/7E0:7E8")
				c2 := d.mustDial(t, network, name+"/7E8:7E0")
				sum := make(chan [32]byte, 1)
				go func() {
					h := sha256.New()
					io.CopyN(h, c2, int64(len(want)))
					sum <- [32]byte(h.Sum(nil))
				}()
				n, err := io.Copy(c1, bytes.NewReader(want))
				if n != int64(len(want)) || err != nil {
					c2.Close()
					t.Errorf("%d bytes written, %v", n, err)
				}
				if <-sum != sha256.Sum256(want) {
					t.Error("what came is not what was sent")
				}
			})
		}
	})
}
