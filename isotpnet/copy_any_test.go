package isotpnet_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/gob"
	"io"
	"net"
	"net/rpc"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/scale"
)

// sources write bytes to a connection in the ways of code that knows nothing of
// messages. The other side reads them as it does of any connection.
var sources = []struct {
	name  string
	write func(t *testing.T, c io.Writer, data []byte) error
	read  func(c io.Reader, size int) ([]byte, error)
}{
	{"bytes.Reader", func(_ *testing.T, c io.Writer, data []byte) error {
		_, err := io.Copy(c, bytes.NewReader(data))
		return err
	}, readSize},
	{"strings.Reader", func(_ *testing.T, c io.Writer, data []byte) error {
		_, err := io.Copy(c, strings.NewReader(string(data)))
		return err
	}, readSize},
	{"bytes.Buffer", func(_ *testing.T, c io.Writer, data []byte) error {
		_, err := io.Copy(c, bytes.NewBuffer(data))
		return err
	}, readSize},
	{"os.File", func(t *testing.T, c io.Writer, data []byte) error {
		name := filepath.Join(t.TempDir(), "data")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(c, f)
		return err
	}, readSize},
	{"io.WriteString", func(_ *testing.T, c io.Writer, data []byte) error {
		text := string(data)
		_, err := io.WriteString(c, text)
		return err
	}, readSize},
	{"bufio.Writer", func(_ *testing.T, c io.Writer, data []byte) error {
		w := bufio.NewWriter(c)
		for i := range data {
			w.WriteByte(data[i])
		}
		return w.Flush()
	}, readSize},
	{"gzip", func(_ *testing.T, c io.Writer, data []byte) error {
		w := gzip.NewWriter(c)
		if _, err := w.Write(data); err != nil {
			return err
		}
		return w.Close()
	}, func(c io.Reader, _ int) ([]byte, error) {
		r, err := gzip.NewReader(c)
		if err != nil {
			return nil, err
		}
		r.Multistream(false) // the connection has no end
		return io.ReadAll(r)
	}},
	{"gob", func(_ *testing.T, c io.Writer, data []byte) error { return gob.NewEncoder(c).Encode(data) },
		func(c io.Reader, _ int) (data []byte, err error) {
			err = gob.NewDecoder(c).Decode(&data)
			return data, err
		}},
}

func readSize(c io.Reader, size int) ([]byte, error) {
	p := make([]byte, size)
	n, err := io.ReadFull(c, p)
	return p[:n], err
}

// AnyBlob is what the net/rpc server of wantCopies serves.
type AnyBlob struct{ data []byte }

// Get returns the first size bytes.
func (b *AnyBlob) Get(size int, reply *[]byte) error {
	*reply = b.data[:size]
	return nil
}

// wantCopies has each source write to one end and compares what the other reads.
func wantCopies(t *testing.T, pair func(t *testing.T) (c1, c2 net.Conn)) {
	data := []byte(payload(scale.Down(1<<20, 300<<10)))
	for _, s := range sources {
		t.Run(s.name, func(t *testing.T) {
			c1, c2 := pair(t)
			beside(t, func() {
				if err := s.write(t, c1, data); err != nil {
					t.Error(err)
					c2.Close() // the reader need not wait for the rest
				}
			})
			got, err := s.read(c2, len(data))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("read %d bytes, %v; want %d, nil, and each as written", len(got), err, len(data))
			}
		})
	}
	t.Run("net/rpc", func(t *testing.T) {
		c1, c2 := pair(t)
		server := rpc.NewServer()
		if err := server.Register(&AnyBlob{data}); err != nil {
			t.Fatal(err)
		}
		c1.SetReadDeadline(time.Now().Add(time.Minute)) // a client waits for ever for a reply that could not be sent
		beside(t, func() { server.ServeConn(c2) })
		client := rpc.NewClient(c1)
		defer c2.Close()
		defer client.Close()
		for _, size := range []int{1, 100_000, len(data) / 3, 10} {
			var reply []byte
			if err := client.Call("AnyBlob.Get", size, &reply); err != nil || !bytes.Equal(reply, data[:size]) {
				t.Errorf("a reply of %d bytes, %v; want %d bytes", len(reply), err, size)
			}
		}
	})
}

// Code that knows nothing of messages works on the engine as it is, whose longest
// message is as long as what it writes at once, and with SplitWrites on every
// backend.
func TestCopiesFromAnySource(t *testing.T) {
	for _, mode := range []struct {
		name   string
		config isotpnet.Config
	}{
		{"user", isotpnet.Config{}},
		{"userFD", isotpnet.Config{FD: true, BRS: true}},
		{"userSplit", isotpnet.Config{SplitWrites: true}},
		{"userSplitFD", isotpnet.Config{SplitWrites: true, FD: true, BRS: true}},
		{"userSplitBlocks", isotpnet.Config{SplitWrites: true, MaxSendSize: 1000, BlockSize: 8}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			wantCopies(t, func(t *testing.T) (c1, c2 net.Conn) {
				config := mode.config
				config.TransmitTimeout, config.FlowControlTimeout, config.ConsecutiveFrameTimeout =
					patient.TransmitTimeout, patient.FlowControlTimeout, patient.ConsecutiveFrameTimeout
				return newPair(t, newNetwork(t, virtual.Options{}), config, config)
			})
		})
	}
}
