package isotpnet

import (
	"testing"

	"example.com/isotp/canbus"
)

func frame11(id uint32, data ...byte) *canbus.Frame {
	f := &canbus.Frame{ID: id}
	f.Len = uint8(copy(f.Data[:], data))
	return f
}

func frame29(id uint32, data ...byte) *canbus.Frame {
	f := frame11(id, data...)
	f.Flags = canbus.Extended
	return f
}

func TestWhatAnAddrHearsAndFromWhom(t *testing.T) {
	tests := []struct {
		addr  string
		frame *canbus.Frame
		want  string // "" for what is not heard
	}{
		{"/7E0:7E8", frame11(0x7E8), "/7E0:7E8"},
		{"/7E0:7E8", frame11(0x7E0), ""},
		{"/7E0:7E8", frame29(0x7E8), ""},
		{"/:7E8", frame11(0x7E8), "/:7E8"},
		{"/7DF:", frame11(0x7DF), ""},
		{"/000:7E8", frame11(0x000), ""},
		{"/7DF:", frame11(0x000), ""},
		{"/641#55:642#F1", frame11(0x642, 0xF1), "/641#55:642#F1"},
		{"/641#55:642#F1", frame11(0x642, 0x55), ""},
		{"/641#55:642#F1", frame11(0x642), ""},
		{"/mixed:10:F1#99", frame29(0x04CEF110, 0x99), "/mixed:10:F1#99"},
		// A node answers any source address, whatever the priority.
		{"/fixed::10", frame29(0x18DA10F1), "/fixed:F1:10"},
		{"/fixed::10", frame29(0x0CDA10F2), "/fixed:F2:10"},
		{"/fixed::10", frame29(0x18DA1000), "/fixed:00:10"},
		{"/fixed::10", frame29(0x18DA11F1), ""},
		{"/fixed::10", frame29(0x18DB10F1), ""},
		{"/fixed::10", frame29(0x18DA1010), ""}, // from the node itself
		{"/fixed::10", frame11(0x0F1), ""},
		{"/fixed@14DA::10", frame29(0x14DA10F1), "/fixed@14DA:F1:10"},
		{"/mixed::10#99", frame29(0x18CE10F1, 0x99), "/mixed:F1:10#99"},
		{"/mixed::10#99", frame29(0x18CE10F1, 0x98), ""},
		// A group hears any source address, and its own target address only.
		{"/func:33", frame29(0x18DB33F1), "/:func:33:F1"},
		{"/func:33", frame29(0x1CDB3300), "/:func:33:00"},
		{"/func:33", frame29(0x18DB34F1), ""},
		{"/func:33#99", frame29(0x18CD33F1, 0x99), "/:func:33:F1#99"},
		{"/func:33#99", frame29(0x18CD33F1), ""},
		// The answers of OBD-II's ECUs.
		{"/obd", frame11(0x7E8), "/7E0:7E8"},
		{"/obd", frame11(0x7EF), "/7E7:7EF"},
		{"/obd", frame11(0x7E7), ""},
		{"/obd", frame11(0x7F0), ""},
		{"/obd", frame29(0x7E8), ""},
		{"/obd29", frame29(0x18DAF110), "/fixed:10:F1"},
		{"/obd29", frame29(0x18DAF1FF), "/fixed:FF:F1"},
		{"/obd29", frame29(0x18DA10F1), ""},
		{"/obd29", frame29(0x18DAF1F1), ""},
	}
	for _, tt := range tests {
		var want Addr
		if tt.want != "" {
			want = MustParseAddr(tt.want)
		}
		got, ok := MustParseAddr(tt.addr).heard(tt.frame)
		if got != want || ok != want.IsValid() {
			t.Errorf("%s hears %X as %v, %v, want %v", tt.addr, tt.frame.ID, got, ok, want)
		}
	}
}

func TestTheFilterPassesWhatIsHeard(t *testing.T) {
	for _, tt := range []struct {
		addr string
		want canbus.Filter
	}{
		{"/7E0:7E8", canbus.Filter{ID: 0x7E8, Mask: 0x7FF}},
		{"/:18DAF110", canbus.Filter{ID: 0x18DAF110, Mask: 0x1FFFFFFF, Extended: true}},
		{"/fixed:10:F1", canbus.Filter{ID: 0x18DAF110, Mask: 0x03FFFFFF, Extended: true}},
		{"/fixed::10", canbus.Filter{ID: 0x18DA1000, Mask: 0x03FFFF00, Extended: true}},
		{"/mixed::10#99", canbus.Filter{ID: 0x18CE1000, Mask: 0x03FFFF00, Extended: true}},
		{"/func:33", canbus.Filter{ID: 0x18DB3300, Mask: 0x03FFFF00, Extended: true}},
		{"/obd", canbus.Filter{ID: 0x7E8, Mask: 0x7F8}},
		{"/obd29", canbus.Filter{ID: 0x18DAF100, Mask: 0x03FFFF00, Extended: true}},
	} {
		if got, ok := MustParseAddr(tt.addr).filter(); !ok || got != tt.want {
			t.Errorf("%s: %+v, %v, want %+v", tt.addr, got, ok, tt.want)
		}
	}
	for _, a := range []Addr{{}, MustParseAddr("/7DF:"), MustParseAddr("/func:33:F1")} {
		if f, ok := a.filter(); ok {
			t.Errorf("%v listens to nothing, but has the filter %+v", a, f)
		}
	}
}

func TestListeningCostsNoMemory(t *testing.T) {
	a, f := MustParseAddr("can0/fixed::10"), frame29(0x18DA10F1)
	if n := testing.AllocsPerRun(100, func() { a.heard(f) }); n != 0 {
		t.Errorf("%v allocations for a frame", n)
	}
}
