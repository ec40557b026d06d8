package uds

import "testing"

func TestMessagesAreNamed(t *testing.T) {
	for _, tt := range []struct {
		message string
		want    Message
		name    string
	}{
		{"", Message{}, ""},
		{"\x22\xF1\x90", Message{Kind: Request, Service: 0x22}, "ReadDataByIdentifier"},
		{"\x62\xF1\x90", Message{Kind: Positive, Service: 0x22}, "ReadDataByIdentifier"},
		{"\x3E\x00", Message{Kind: Request, Service: 0x3E}, "TesterPresent"},
		{"\x7E\x00", Message{Kind: Positive, Service: 0x3E}, "TesterPresent"},
		{"\x09\x02", Message{Kind: Request, Service: 9}, "RequestVehicleInformation"},
		{"\x49\x02", Message{Kind: Positive, Service: 9}, "RequestVehicleInformation"},
		{"\xC4", Message{Kind: Positive, Service: 0x84}, "SecuredDataTransmission"},
		{"\xBA", Message{Kind: Request, Service: 0xBA}, "service BA"},
		{"\xFA", Message{Kind: Positive, Service: 0xBA}, "service BA"},
		{"\x7F\x22\x31", Message{Kind: Negative, Service: 0x22, Code: 0x31}, "ReadDataByIdentifier: requestOutOfRange"},
		{"\x7F\x22\x78\xAA", Message{Kind: Negative, Service: 0x22, Code: 0x78}, "ReadDataByIdentifier: requestCorrectlyReceived-ResponsePending"},
		{"\x7F\x10", Message{Kind: Negative, Service: 0x10}, "DiagnosticSessionControl: without a code"},
		{"\x7F", Message{Kind: Negative}, "service 00: without a code"},
		{"\x00", Message{}, ""},
		{"\x3F", Message{}, ""},
		{"\x40", Message{}, ""},
		{"\x80", Message{}, ""},
		{"\xFF", Message{}, ""},
	} {
		got := Parse([]byte(tt.message))
		if got != tt.want || got.Name() != tt.name {
			t.Errorf("% X is %+v %q, want %+v %q", tt.message, got, got.Name(), tt.want, tt.name)
		}
		if pending := got.Code == ResponsePending; got.IsPending() != pending {
			t.Errorf("% X: pending is %v", tt.message, !pending)
		}
	}
}

func TestEveryCodeHasAName(t *testing.T) {
	for code, want := range map[byte]string{
		0x12: "subFunctionNotSupported", 0x45: "code 45, of data link security", 0x60: "code 60, reserved",
		0x94: "resourceTemporarilyNotAvailable", 0xA0: "code A0, reserved for conditions that are not correct",
		0xF3: "code F3, a condition of the manufacturer's", 0xFF: "code FF, reserved",
	} {
		if got := CodeName(code); got != want {
			t.Errorf("%02X is %q, want %q", code, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("\x7F\x22\x31"))
	f.Add([]byte("\x62\xF1\x90"))
	f.Fuzz(func(t *testing.T, p []byte) {
		m := Parse(p)
		if (m.Kind == Unknown) != (m.Name() == "") {
			t.Errorf("% X: kind %d is named %q", p, m.Kind, m.Name())
		}
		switch {
		case m.Kind == Request && p[0] != m.Service, m.Kind == Positive && p[0] != m.Service+positive:
			t.Errorf("% X is of service %02X", p, m.Service)
		}
	})
}
