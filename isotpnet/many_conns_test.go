package isotpnet_test

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"example.com/isotp/isotpnet"
)

// manyConns is how many pairs of connections TestManyConnsWorkInTurn opens. ISOTPNET_CONNS
// is another number: test/soak takes a hundred thousand.
func manyConns(t *testing.T) int {
	text := os.Getenv("ISOTPNET_CONNS")
	if text == "" {
		return 2000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal("ISOTPNET_CONNS:", err)
	}
	return n
}

func TestManyConnsWorkInTurn(t *testing.T) {
	noLeaks(t)
	clients, servers := dialMany(t, manyConns(t))
	const size = 40
	buf := make([]byte, size+1)
	for i, c := range clients {
		for _, ends := range [][2]*isotpnet.Conn{{c, servers[i]}, {servers[i], c}} {
			want := numbered(i, size)
			if _, err := ends[0].Write(want); err != nil {
				t.Fatal(i, err)
			}
			if n, err := ends[1].Read(buf); err != nil || !bytes.Equal(buf[:n], want) {
				t.Fatal(i, n, err)
			}
		}
	}
}
