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

func TestDownload(t *testing.T) {
	for _, tc := range []struct {
		what     string
		requests []string
		want     string // the answer to the last one
	}{
		{"whole", []string{"340022 1000 0003", "3601 414243", "37"}, "77a3830348"},
		{"in blocks", []string{"340022 1000 0003", "3601 4142", "3602 43", "37"}, "77a3830348"},
		{"a block comes again, because its answer was lost", []string{"340022 1000 0003", "3601 4142", "3601 4142", "3602 43", "37"}, "77a3830348"},
		{"a second one", []string{"340022 1000 0001", "3601 41", "340022 1000 0003", "3601 414243", "37"}, "77a3830348"},
		{"begins", []string{"340044 00001000 00000003"}, "74200fff"},
		{"of nothing", []string{"340022 1000 0000"}, "7f3431"},
		{"too long", []string{"340042 1000 01000001"}, "7f3431"},
		{"compressed", []string{"341022 1000 0003"}, "7f3431"},
		{"without a size", []string{"340002 1000"}, "7f3431"},
		{"cut", []string{"340022 1000 00"}, "7f3413"},
		{"without lengths", []string{"3400"}, "7f3413"},
		{"data before it begins", []string{"3601 41"}, "7f3624"},
		{"block without data", []string{"340022 1000 0003", "3601"}, "7f3613"},
		{"first block has number 0", []string{"340022 1000 0003", "3600 41"}, "7f3673"},
		{"block is missing", []string{"340022 1000 0003", "3601 41", "3603 43"}, "7f3673"},
		{"more than announced", []string{"340022 1000 0003", "3601 41424344"}, "7f3671"},
		{"ends too early", []string{"340022 1000 0003", "3601 4142", "37"}, "7f3724"},
		{"ends before it begins", []string{"37"}, "7f3724"},
	} {
		var e ECU
		var answer string
		for _, text := range tc.requests {
			request, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			answer = hex.EncodeToString(e.Answer(request, false)[0])
		}
		if answer != tc.want {
			t.Errorf("%s: %s, want %s", tc.what, answer, tc.want)
		}
	}
}

// After block FF comes block 00.
func TestBlockNumbersGoRound(t *testing.T) {
	var e ECU
	e.Answer([]byte{0x34, 0, 0x21, 0, 0x01, 0x2C}, false)
	for i := range 300 {
		if answer := e.Answer([]byte{0x36, byte(i + 1), 0xAA}, false)[0]; answer[0] != 0x76 {
			t.Fatalf("block %d: % X", i+1, answer)
		}
	}
	if answer := e.Answer([]byte{0x37}, false)[0]; answer[0] != 0x77 {
		t.Errorf("the end: % X", answer)
	}
}
