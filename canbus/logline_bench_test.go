package canbus

import "testing"

func BenchmarkUnmarshalLogLine(b *testing.B) {
	line := []byte("(1436509052.249713) vcan0 7E8#2A366C2BBA112233")
	b.ReportAllocs()
	var f Frame
	for b.Loop() {
		if _, err := f.UnmarshalLogLine(line); err != nil {
			b.Fatal(err)
		}
	}
}
