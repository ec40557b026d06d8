package socketcan_test

import (
	"testing"

	"example.com/isotp/test/vm/cantest"
)

func TestMain(m *testing.M) { cantest.Main(m) }
