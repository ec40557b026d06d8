package isotpnet_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/gob"
	"errors"
	"io"
	"net/rpc"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// readSizes reads messages until that many bytes have come, and returns their sizes.
func readSizes(t testing.TB, c *isotpnet.Conn, total int) (sizes []int, all string) {
	t.Helper()
	p := make([]byte, total+1)
	for len(all) < total {
		n, info, err := c.ReadMessage(p)
		if err != nil || info.Rest != 0 {
			t.Fatalf("after %d bytes: %+v, %v", len(all), info, err)
		}
		sizes, all = append(sizes, n), all+string(p[:n])
	}
	return sizes, all
}

func TestSplitWritesCutsLongWrites(t *testing.T) {
	for _, tc := range []struct {
		name        string
		maxSendSize int
		write       int
		want        []int
	}{
		{"longer than the default", 0, 10_000, []int{4095, 4095, 1810}},
		{"as long as the default", 0, 4095, []int{4095}},
		{"a multiple", 0, 8190, []int{4095, 4095}},
		{"one byte more", 0, 4096, []int{4095, 1}},
		{"Single Frames", 7, 15, []int{7, 7, 1}},
		{"long messages", 9000, 20_000, []int{9000, 9000, 2000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c1, c2 := newPipe(t, &isotpnet.Config{SplitWrites: true, MaxSendSize: tc.maxSendSize})
				beginWrite(t, c1, payload(tc.write))
				sizes, all := readSizes(t, c2, tc.write)
				if !slices.Equal(sizes, tc.want) || all != payload(tc.write) {
					t.Errorf("messages of %v bytes, want %v; bytes right: %v", sizes, tc.want, all == payload(tc.write))
				}
			})
		})
	}
}

func TestSplitWriteHoldsTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{Bitrate: 500_000})
		c1, c2 := newPair(t, n, isotpnet.Config{SplitWrites: true, MaxSendSize: 7}, isotpnet.Config{})
		for _, b := range []string{"a", "b", "c"} {
			beginWrite(t, c1, strings.Repeat(b, 7*50))
		}
		_, all := readSizes(t, c2, 3*7*50)
		if runs := 1 + strings.Count(all, "ab") + strings.Count(all, "ac") + strings.Count(all, "ba") +
			strings.Count(all, "bc") + strings.Count(all, "ca") + strings.Count(all, "cb"); runs != 3 {
			t.Errorf("the messages of three Writes came in %d runs: %s", runs, all)
		}
	})
}

func TestSplitWriteDeadlineIsForTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{SplitWrites: true, MaxSendSize: 8})
		start := time.Now()
		c.SetWriteDeadline(start.Add(100 * time.Millisecond))
		type result struct {
			n   int
			err error
		}
		written := make(chan result)
		go func() {
			n, err := c.Write([]byte(payload(30)))
			written <- result{n, err}
		}()
		for range 2 {
			ecu.next() // First Frame
			ecu.send("7E8#300000")
			ecu.next()
		}
		r := <-written // in the wait for the third flow control
		wantErr(t, r.err, "write", c, os.ErrDeadlineExceeded)
		if r.n != 16 {
			t.Errorf("n is %d, want 16: two messages were sent whole", r.n)
		}
		wantSince(t, start, 100*time.Millisecond)
	})
}

func TestSplitWriteCountsWhatThePeerTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{SplitWrites: true, MaxSendSize: 8})
		go func() {
			ecu.next()
			ecu.send("7E8#300000")
			ecu.next()
			ecu.next()
			ecu.send("7E8#320000") // OVFLW
		}()
		k, err := c.Write([]byte(payload(30)))
		wantCode(t, err, "write", c, isotpnet.CodeBufferOverflow)
		if k != 8 {
			t.Errorf("n is %d, want 8", k)
		}
	})
}

func TestSplitWritesLeavesTheOthersWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		config := isotpnet.Config{SplitWrites: true, MaxSendSize: 20}
		c := dialWith(t, isotpnet.Dialer{Bus: newTap(t, n), Config: config, Functional: isotpnet.MustParseAddr("/7DF:")}, testerAddr)
		group := dialOn(t, newTap(t, n), "/7DF:", config)
		for name, write := range map[string]func() error{
			"WriteFunctional": func() error { _, err := c.WriteFunctional(make([]byte, 8)); return err },
			"SendFrom":        func() error { return c.SendFrom(bytes.NewReader(make([]byte, 21)), 21) },
			"functional Conn": func() error { _, err := group.Write(make([]byte, 8)); return err },
			"and a long one":  func() error { _, err := group.Write(make([]byte, 100)); return err },
		} {
			if err := write(); !errors.Is(err, isotpnet.ErrMessageTooLong) {
				t.Errorf("%s: %v, want ErrMessageTooLong", name, err)
			}
		}
	})
}

func TestListenPacketRefusesSplitWrites(t *testing.T) {
	lc := isotpnet.ListenConfig{Config: isotpnet.Config{SplitWrites: true}}
	_, err := lc.ListenPacket(context.Background(), "isotp", "virtual:split/fixed::F1")
	if e, ok := errors.AsType[*isotpnet.ConfigError](err); !ok || e.Field != "SplitWrites" {
		t.Errorf("%v, want a ConfigError of SplitWrites", err)
	}
}

// What code that knows nothing of messages does with a connection: each writes 200 kB
// or more by itself.
func TestSplitWritesCarriesBytes(t *testing.T) {
	want := payload(300_000)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(io.Writer) error{
		"bytes.Reader":   func(w io.Writer) error { _, err := io.Copy(w, bytes.NewReader([]byte(want))); return err },
		"bytes.Buffer":   func(w io.Writer) error { _, err := io.Copy(w, bytes.NewBufferString(want)); return err },
		"strings.Reader": func(w io.Writer) error { _, err := io.Copy(w, strings.NewReader(want)); return err },
		"WriteString":    func(w io.Writer) error { _, err := io.WriteString(w, want); return err },
		"os.File": func(w io.Writer) error {
			f, err := os.Open(file)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(w, f)
			return err
		},
		"gzip": func(w io.Writer) error {
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			io.WriteString(z, want)
			z.Close()
			r, err := gzip.NewReader(&packed)
			if err != nil {
				return err
			}
			_, err = io.Copy(w, r)
			return err
		},
	} {
		for backend, config := range map[string]isotpnet.Config{"classic": {SplitWrites: true}, "FD": {SplitWrites: true, FD: true}} {
			t.Run(name+" "+backend, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c1, c2 := newPipe(t, &config)
					beside(t, func() {
						if err := write(c1); err != nil {
							t.Error(err)
						}
					})
					p := make([]byte, len(want))
					if _, err := io.ReadFull(c2, p); err != nil || string(p) != want {
						t.Errorf("%v; bytes right: %v", err, string(p) == want)
					}
				})
			})
		}
	}
}

func TestGobOverSplitWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, &isotpnet.Config{SplitWrites: true})
		want := payload(150_000)
		beside(t, func() {
			if err := gob.NewEncoder(c1).Encode(want); err != nil {
				t.Error(err)
			}
		})
		var got string
		if err := gob.NewDecoder(c2).Decode(&got); err != nil || got != want {
			t.Errorf("%v; value right: %v", err, got == want)
		}
	})
}

// A Blob is a service of net/rpc.
type Blob struct{}

func (Blob) Get(size int, reply *[]byte) error {
	*reply = []byte(payload(size))
	return nil
}

func TestRPCWithALongReplyOverSplitWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, &isotpnet.Config{SplitWrites: true})
		server := rpc.NewServer()
		if err := server.Register(Blob{}); err != nil {
			t.Fatal(err)
		}
		go server.ServeConn(c2)
		client := rpc.NewClient(c1)
		defer client.Close()
		var got []byte
		if err := client.Call("Blob.Get", 1<<20, &got); err != nil || string(got) != payload(1<<20) {
			t.Errorf("%v; %d bytes", err, len(got))
		}
	})
}

func TestStreamsTakeNoNoticeOfSplitWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		config := isotpnet.Config{SplitWrites: true}
		lc := isotpnet.ListenConfig{Config: config, Bus: newTap(t, n)}
		ln, err := lc.ListenStream(t.Context(), "isotp-stream", isotpnet.MustParseAddr(ecuAddr))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		d := isotpnet.Dialer{Config: config, Bus: newTap(t, n)}
		c, err := d.DialStream(t.Context(), "isotp-stream", isotpnet.MustParseAddr(testerAddr))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := ln.AcceptStream()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		beginWrite(t, c, payload(20_000))
		p := make([]byte, 20_000)
		if _, err := io.ReadFull(s, p); err != nil || string(p) != payload(20_000) {
			t.Errorf("%v; bytes right: %v", err, string(p) == payload(20_000))
		}
	})
}

func TestWithoutSplitWritesALongWriteIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, _ := newPipe(t, &isotpnet.Config{MaxSendSize: 4095})
		n, err := c1.Write(make([]byte, 4096))
		wantErr(t, err, "write", c1, syscall.EMSGSIZE)
		if n != 0 {
			t.Errorf("n is %d", n)
		}
	})
}

// A peer's refusal says what was refused, and what to do.
func TestRefusedMessageSaysItsSize(t *testing.T) {
	const text = "N_BUFFER_OVFLW: the message is too long for the peer: it has refused 100 bytes; send shorter messages (Config.SplitWrites makes several of a Write), or have it take longer ones (Config.MaxMessageSize, NextReader)"
	for name, write := range map[string]func(c *isotpnet.Conn) error{
		"Write":    func(c *isotpnet.Conn) error { _, err := c.Write(make([]byte, 100)); return err },
		"SendFrom": func(c *isotpnet.Conn) error { return c.SendFrom(bytes.NewReader(make([]byte, 100)), 100) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c1, c2 := newPipe(t, &isotpnet.Config{MaxMessageSize: 99})
				c2.SetReadDeadline(time.Now().Add(time.Second))
				beside(t, func() { c2.Read(make([]byte, 1)) }) // by messages
				err := write(c1)
				wantCode(t, err, "write", c1, isotpnet.CodeBufferOverflow)
				if e, ok := errors.AsType[*isotpnet.ProtocolError](err); !ok || e.Size != 100 || e.Error() != text {
					t.Errorf("error is %v\nwant %s", e, text)
				}
			})
		})
	}
}

func TestRefusedPartOfASplitWriteSaysItsSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, &isotpnet.Config{MaxMessageSize: 99, SplitWrites: true, MaxSendSize: 200})
		c2.SetReadDeadline(time.Now().Add(time.Second))
		beside(t, func() { c2.Read(make([]byte, 1)) })
		_, err := c1.Write(make([]byte, 1000))
		if e, ok := errors.AsType[*isotpnet.ProtocolError](err); !ok || e.Size != 200 {
			t.Errorf("error is %v, want one of 200 bytes", err)
		}
	})
}

func TestPacketConnsRefusedMessageSaysItsSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		ecu := newNode(t, n)
		go func() {
			ecu.next()
			ecu.send("7E8#320000")
		}()
		_, err := pc.WriteTo(make([]byte, 100), isotpnet.MustParseAddr(testerAddr))
		if e, ok := errors.AsType[*isotpnet.ProtocolError](err); !ok || e.Code != isotpnet.CodeBufferOverflow || e.Size != 100 {
			t.Errorf("error is %v, want one of 100 bytes", err)
		}
	})
}
