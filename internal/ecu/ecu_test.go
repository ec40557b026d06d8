package ecu

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

func TestAnswer(t *testing.T) {
	responses, err := ParseResponses(strings.NewReader(`
		# a comment
		22 F1 8C : 62F18C 30 31 # another
		0x31,0x01 FF.00 : 7F3178 | 0x71 01,FF,00
		2E* : 6EF190
		2EF1* : 7F2E33
		8502 : -
	`))
	if err != nil {
		t.Fatal(err)
	}
	e := &ECU{VIN: "WVWZZZ1JZXW000001", Name: "ECM-Engine", Responses: responses}
	vin := hex.EncodeToString([]byte(e.VIN))
	for _, tc := range []struct {
		request    string
		functional bool
		want       string
	}{
		{"22F190", false, "62f190" + vin},
		{"22F190", true, "62f190" + vin},
		{"22F191", false, "7f2231"},
		{"22F191", true, ""},
		{"22F1", false, "7f2213"},
		{"22F1", true, "7f2213"},
		{"3E00", false, "7e00"},
		{"3E80", false, ""},
		{"3E01", false, "7f3e12"},
		{"3E01", true, ""},
		{"1003", false, "5003003201f4"},
		{"1083", false, ""},
		{"2701", false, "7f2711"},
		{"2701", true, ""},
		{"0902", true, "490201" + vin},
		{"0900", true, "490040400000"},
		{"090A", true, "490a01" + hex.EncodeToString([]byte("ECM-Engine")) + strings.Repeat("00", 10)},
		{"0904", true, ""},
		{"0100", true, "410000180000"},
		{"010C", true, "410c0c80"},
		{"07", true, ""},
		{"22F18C", false, "62f18c3031"},
		{"3101FF00", false, "7f3178 7101ff00"},
		{"2E0100", false, "6ef190"},
		{"2EF19000", false, "7f2e33"},
		{"8502", false, ""},
	} {
		request, _ := hex.DecodeString(tc.request)
		var got []string
		for _, answer := range e.Answer(request, tc.functional) {
			got = append(got, hex.EncodeToString(answer))
		}
		if text := strings.Join(got, " "); text != tc.want {
			t.Errorf("%s (functional %v): %q, want %q", tc.request, tc.functional, text, tc.want)
		}
	}
}

func TestBadResponses(t *testing.T) {
	for text, want := range map[string]string{
		"22F190":                    `line 1: no colon in "22F190": want REQUEST : ANSWER`,
		"\n22F19 : 62":              `line 2: "22F19" is not bytes of two hexadecimal digits each, such as 22 F1 90`,
		"22 : 6":                    `line 1: "6" is not bytes of two hexadecimal digits each, such as 22 F1 90`,
		"22:F1 : 62":                `line 1: more than one colon in "22:F1 : 62": want REQUEST : ANSWER`,
		"22 :":                      `line 1: a request or an answer is empty: want hexadecimal digits, or - for no answer`,
		"* : 62":                    `line 1: a request or an answer is empty: want hexadecimal digits, or - for no answer`,
		"3E00 : 7E00\n3E 00 : 7E00": `line 2: "3E 00" is there twice`,
		"3E* : 7E00\n3E* : 7E00":    `line 2: "3E*" is there twice`,
	} {
		if _, err := ParseResponses(strings.NewReader(text)); fmt.Sprint(err) != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
