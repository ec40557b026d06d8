package kernel

import "testing"

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]Version{
		"6.12.107+deb13-amd64": {6, 12}, "7.2.13-amd64": {7, 2}, "6.1.0-42-amd64": {6, 1}, "5.10": {5, 10},
		"": {}, "6": {}, "Linux": {}, "99999999999999999999.1": {},
	} {
		if got := parseVersion(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestLimitOf(t *testing.T) {
	for _, test := range []struct {
		parameter string
		version   Version
		want      int64
	}{
		{"8300\n", Linux(6, 12), 8300},
		{"1048576", Linux(6, 12), 1048576},
		{"", Linux(6, 1), 66000},
		{"", Linux(6, 4), 8300},
		{"0", Linux(7, 2), 8300},
		{"many", Linux(6, 3), 66000},
	} {
		if got := limitOf(test.parameter, test.version); got != test.want {
			t.Errorf("%q of %v: %d, want %d", test.parameter, test.version, got, test.want)
		}
	}
}
