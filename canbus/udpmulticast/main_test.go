package udpmulticast

import (
	"testing"

	"example.com/isotp/test/netns"
)

func TestMain(m *testing.M) { netns.Main(m) }
