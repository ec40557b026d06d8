package isotpnet_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/scale"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// randomBytes is an endless source; two with the same seed are the same.
func randomBytes(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// A digest hashes what is written to it and counts it.
type digest struct {
	maphash.Hash
	n int64
}

var digestSeed = maphash.MakeSeed()

func newDigest() *digest {
	d := new(digest)
	d.SetSeed(digestSeed)
	return d
}

func (d *digest) Write(p []byte) (int, error) {
	d.n += int64(len(p))
	return d.Hash.Write(p)
}

// wantRandomBytes checks that n of randomBytes were written.
func (d *digest) wantRandomBytes(t *testing.T, seed byte, n int64) {
	t.Helper()
	want := newDigest()
	io.CopyN(want, randomBytes(seed), n)
	if d.n != n || d.Sum64() != want.Sum64() {
		t.Errorf("%d bytes with the hash %x, want %d with %x", d.n, d.Sum64(), n, want.Sum64())
	}
}

// io.Copy uses ReadFrom on one side and WriteTo on the other, in both directions
// at once.
func TestCopyOf16MiB(t *testing.T) {
	size := scale.Down[int64](16, 2) * mib
	for _, mode := range []struct {
		name   string
		config isotpnet.Config
	}{{"Classic", patient}, {"FD", patientFD}} {
		t.Run(mode.name, func(t *testing.T) {
			noLeaks(t)
			c1, c2 := newPipe(t, &mode.config)
			var wg sync.WaitGroup
			for i, c := range []*isotpnet.Conn{c1, c2} {
				there, back := byte(i), byte(1-i)
				sent := make(chan struct{})
				wg.Go(func() {
					defer close(sent)
					// Nothing but Read, or the source would do the copying.
					src := struct{ io.Reader }{io.LimitReader(randomBytes(there), size)}
					if n, err := io.Copy(c, src); n != size || err != nil {
						t.Errorf("sending: %d, %v", n, err)
					}
				})
				wg.Go(func() {
					got := newDigest()
					if n, err := io.CopyN(got, struct{ io.Reader }{c}, size/2); n != size/2 || err != nil {
						t.Errorf("receiving by Read: %d, %v", n, err)
					}
					stop := errors.New("that is all")
					_, err := io.Copy(&untilFull{got, size, stop}, c)
					if err != stop {
						t.Errorf("receiving by WriteTo: %v", err)
					}
					<-sent
					got.wantRandomBytes(t, back, size)
				})
			}
			wg.Wait()
		})
	}
}

// untilFull fails once so much was written.
type untilFull struct {
	*digest
	size int64
	err  error
}

func (w *untilFull) Write(p []byte) (int, error) {
	n, err := w.digest.Write(p)
	if err == nil && w.n >= w.size {
		err = w.err
	}
	return n, err
}

func TestCopyEndsWithThePipe(t *testing.T) {
	noLeaks(t)
	c1, c2 := newPipe(t, nil)
	go func() {
		io.Copy(c1, struct{ io.Reader }{io.LimitReader(randomBytes(0), mib+1)})
		c1.Close()
	}()
	got := newDigest()
	if n, err := io.Copy(got, c2); n != mib+1 || err != nil {
		t.Errorf("io.Copy: %d, %v", n, err)
	}
	got.wantRandomBytes(t, 0, mib+1)
}

// ReadFrom sends what there is: it does not wait for a message to be full.
func TestReadFromSendsEachRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, nil)
		r, w := io.Pipe()
		go c1.ReadFrom(r)
		for _, s := range []string{"a", "few", "words"} {
			w.Write([]byte(s))
			wantRead(t, c2, s)
		}
		w.CloseWithError(io.ErrNoProgress)
	})
}

func TestReadFromReturnsTheErrorOfTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, nil)
		src := io.MultiReader(bytes.NewReader(make([]byte, 10)), errReader{io.ErrNoProgress})
		if n, err := c1.ReadFrom(src); n != 10 || err != io.ErrNoProgress {
			t.Errorf("ReadFrom: %d, %v; want 10 and the error itself", n, err)
		}
		wantRead(t, c2, string(make([]byte, 10)))
	})
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestReadFromHeedsMaxSendSize(t *testing.T) {
	for _, tc := range []struct{ config, want int }{{0, 4095}, {100, 100}, {5000, 5000}} {
		t.Run(fmt.Sprint(tc.config), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c1, c2 := newPipe(t, &isotpnet.Config{MaxSendSize: tc.config})
				go c1.ReadFrom(bytes.NewReader(make([]byte, 2*tc.want+1)))
				for _, want := range []int{tc.want, tc.want, 1} {
					if n, info, err := c2.ReadMessage(make([]byte, 10_000)); n != want || info.Size != int64(want) || err != nil {
						t.Errorf("a message of %d bytes, %v; want %d", info.Size, err, want)
					}
				}
			})
		})
	}
}

func TestWriteToWritesOneMessageAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, nil)
		sizes := []int{1, 7, 4095, 4096, 60_000, 3}
		go func() {
			for _, n := range sizes {
				wantWrite(t, c1, payload(n))
			}
			c1.Close()
		}()
		var got writes
		if _, err := c2.WriteTo(&got); err != nil {
			t.Error(err)
		}
		if len(got) != len(sizes) {
			t.Fatalf("%d writes, want %d", len(got), len(sizes))
		}
		for i, n := range sizes {
			if got[i] != payload(n) {
				t.Errorf("write %d has %d bytes, want %d", i, len(got[i]), n)
			}
		}
	})
}

type writes []string

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, string(p))
	return len(p), nil
}

func TestWriteToStopsWhenTheWriterFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, nil)
		beginWrite(t, c1, "hello")
		if n, err := c2.WriteTo(writerFunc(func(p []byte) (int, error) { return 2, nil })); n != 2 || err != io.ErrShortWrite {
			t.Errorf("WriteTo: %d, %v; want 2, %v", n, err, io.ErrShortWrite)
		}
		beginWrite(t, c1, "hello")
		if n, err := c2.WriteTo(writerFunc(func(p []byte) (int, error) { return 3, io.ErrNoProgress })); n != 3 || err != io.ErrNoProgress {
			t.Errorf("WriteTo: %d, %v; want 3, %v", n, err, io.ErrNoProgress)
		}
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A leadingSource tells how much of it was read.
type leadingSource struct {
	src  io.Reader
	mu   sync.Mutex
	cond sync.Cond
	read int64
}

func newLeadingSource(src io.Reader) *leadingSource {
	s := &leadingSource{src: src}
	s.cond.L = &s.mu
	return s
}

func (s *leadingSource) Read(p []byte) (int, error) {
	n, err := s.src.Read(p)
	s.mu.Lock()
	s.read += int64(n)
	s.cond.Broadcast()
	s.mu.Unlock()
	return n, err
}

// await waits until so much was read.
func (s *leadingSource) await(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.read < n {
		s.cond.Wait()
	}
}

// One message, far longer than memory would be spent on, to a reader that takes
// small odd pieces and now and then lets the sender fill all there is to fill.
func TestMessageOf64MiBWithASlowReader(t *testing.T) {
	size := scale.Down[int64](64, 4) * mib
	for _, blockSize := range []int{0, 8} {
		t.Run(fmt.Sprintf("BS %d", blockSize), func(t *testing.T) {
			noLeaks(t)
			config := patientFD
			config.BlockSize = blockSize
			c1, c2 := newPipe(t, &config)
			src := newLeadingSource(io.LimitReader(randomBytes(1), size))
			sent := make(chan error, 1)
			go func() { sent <- c1.SendFrom(src, size) }()

			r, info, err := c2.NextReader()
			if err != nil || info.Size != size {
				t.Fatalf("NextReader: %+v, %v", info, err)
			}
			got := newDigest()
			// The sender holds 32 KiB and the receiver 32 KiB, so that it can
			// be 40 KiB ahead.
			const ahead = 40 * kib
			p := make([]byte, 997)
			for pause := int64(0); err == nil; {
				if got.n >= pause {
					src.await(min(got.n+ahead, size))
					pause += mib
				}
				var n int
				n, err = r.Read(p[:1+got.n%int64(len(p))])
				got.Write(p[:n])
			}
			if err != io.EOF {
				t.Errorf("Read: %v", err)
			}
			if err := <-sent; err != nil {
				t.Errorf("SendFrom: %v", err)
			}
			got.wantRandomBytes(t, 1, size)
		})
	}
}

// The peer of a reader that stops is held up by WAITs, on classic CAN and with a
// BS of 0 too, and nothing is lost.
func TestSlowReaderOfAStreamHoldsThePeerUp(t *testing.T) {
	for _, blockSize := range []int{0, 8} {
		t.Run(fmt.Sprintf("BS %d", blockSize), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size = 300_000
				c1, c2 := newPipe(t, &isotpnet.Config{BlockSize: blockSize, MaxWaitFramesSent: 100})
				done := make(chan error, 1)
				go func() { done <- c1.SendFrom(io.LimitReader(randomBytes(2), size), size) }()
				r, _, err := c2.NextReader()
				if err != nil {
					t.Fatal(err)
				}
				got := newDigest()
				for err == nil {
					time.Sleep(5 * time.Second)
					_, err = io.CopyN(got, r, 50_000)
				}
				if err != io.EOF {
					t.Errorf("Read: %v", err)
				}
				got.wantRandomBytes(t, 2, size)
				if err := <-done; err != nil {
					t.Errorf("SendFrom: %v", err)
				}
				if c1.Stats().WaitFramesReceived == 0 {
					t.Error("no WAIT was needed")
				}
			})
		})
	}
}

// Even a message longer than MaxMessageSize waits until it is known how it is
// read.
func TestLongMessageBeforeTheFirstReadWaits(t *testing.T) {
	for _, tc := range []struct {
		name string
		read func(t *testing.T, c *isotpnet.Conn)
		want isotpnet.Code
	}{
		{"NextReader takes it", func(t *testing.T, c *isotpnet.Conn) {
			r, _, err := c.NextReader()
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, r); n != 70_000 || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
		}, 0},
		{"Read refuses it", func(t *testing.T, c *isotpnet.Conn) {
			c.SetReadDeadline(time.Now().Add(time.Second))
			c.Read(make([]byte, 100))
		}, isotpnet.CodeBufferOverflow},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c1, c2 := newPipe(t, &isotpnet.Config{MaxMessageSize: 65535})
				done := make(chan error, 1)
				go func() { done <- c1.SendFrom(randomBytes(0), 70_000) }()
				time.Sleep(5 * time.Second)
				tc.read(t, c2)
				switch err := <-done; {
				case tc.want == 0 && err != nil:
					t.Errorf("SendFrom: %v", err)
				case tc.want != 0:
					wantCode(t, err, "write", c1, tc.want)
				}
			})
		})
	}
}

func TestNextReaderSkipsWhatWasNotRead(t *testing.T) {
	for _, size := range []int{5, 5000, 200_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c1, c2 := newPipe(t, nil)
				done := make(chan struct{})
				go func() {
					defer close(done)
					wantWrite(t, c1, payload(size))
					wantWrite(t, c1, "the next")
				}()
				r1, info, err := c2.NextReader()
				if err != nil || info.Size != int64(size) {
					t.Fatalf("%+v, %v", info, err)
				}
				p := make([]byte, 3)
				if _, err := io.ReadFull(r1, p); err != nil || string(p) != payload(size)[:3] {
					t.Errorf("%x, %v", p, err)
				}
				r2, info, err := c2.NextReader()
				if err != nil || info.Size != 8 {
					t.Fatalf("%+v, %v", info, err)
				}
				if n, err := r1.Read(p); n != 0 || err == nil || err == io.EOF {
					t.Errorf("the first reader still reads: %d, %v", n, err)
				}
				if got, err := io.ReadAll(r2); string(got) != "the next" || err != nil {
					t.Errorf("%q, %v", got, err)
				}
				<-done
			})
		})
	}
}

func TestNextReaderGoesOnWhereReadStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, nil)
		beginWrite(t, c1, "0123456789")
		p := make([]byte, 4)
		if n, err := c2.Read(p); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		r, info, err := c2.NextReader()
		if err != nil || info.Size != 10 || info.Rest != 6 {
			t.Fatalf("%+v, %v", info, err)
		}
		if got, err := io.ReadAll(r); string(got) != "456789" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestReaderOfAnAbortedMessageFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		ecu.send("7E8#1064010203040506")
		r, _, err := c.NextReader()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		wantCode(t, err, "read", c, isotpnet.CodeTimeoutCr)
		if !bytes.Equal(got, []byte{1, 2, 3, 4, 5, 6}) {
			t.Errorf("read % x before", got)
		}
		if _, again := r.Read(make([]byte, 1)); again != err {
			t.Errorf("then %v, want the same again", again)
		}
		ecu.send("7E8#02ABCD")
		wantRead(t, c, "\xAB\xCD")
	})
}

func TestSendFromReportsTheErrorOfTheSource(t *testing.T) {
	failed := errors.New("disk on fire")
	for _, tc := range []struct {
		name string
		src  io.Reader
		want error
	}{
		{"at once", errReader{failed}, failed},
		{"midway", io.MultiReader(io.LimitReader(randomBytes(0), 40_000), errReader{failed}), failed},
		{"too short", bytes.NewReader(make([]byte, 10)), io.ErrUnexpectedEOF},
		{"empty", bytes.NewReader(nil), io.ErrUnexpectedEOF},
		{"too short midway", io.LimitReader(randomBytes(0), 40_000), io.ErrUnexpectedEOF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c1, c2 := newPipe(t, nil)
				err := c1.SendFrom(tc.src, 60_000)
				wantCode(t, err, "write", c1, isotpnet.CodeSourceFailed)
				if !errors.Is(err, tc.want) {
					t.Errorf("error is %v, want %v in it", err, tc.want)
				}
				// The peer's reception is not over yet; a new message ends it.
				wantWrite(t, c1, "hello")
				wantRead(t, c2, "hello")
			})
		})
	}
}

func TestSendFromReadsNoMoreThanTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c1, c2 := newPipe(t, nil)
		src := bytes.NewReader([]byte(payload(50_000)))
		for _, n := range []int{1, 7, 8, 20_000} {
			want := payload(50_000)[50_000-src.Len():][:n]
			if err := c1.SendFrom(src, int64(n)); err != nil {
				t.Fatal(err)
			}
			wantRead(t, c2, want)
		}
		if src.Len() != 50_000-20_016 {
			t.Errorf("%d bytes of the source are left", src.Len())
		}
	})
}
