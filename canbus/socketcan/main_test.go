package socketcan_test

import (
	"testing"

	"example.com/isotp/test/kernel/cantest"
)

func TestMain(m *testing.M) { cantest.Main(m) }
