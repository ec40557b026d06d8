package hextext

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"22F190":             "\x22\xF1\x90",
		"22 f1\t90\r\n":      "\x22\xF1\x90",
		"0x22 0xF1 0X90":     "\x22\xF1\x90",
		"0x22, 0xF1, 0x90":   "\x22\xF1\x90",
		"0x22F190":           "\x22\xF1\x90",
		"22,F1,90":           "\x22\xF1\x90",
		"22.F1.90":           "\x22\xF1\x90",
		"22:F1:90":           "\x22\xF1\x90",
		"22-f1-90":           "\x22\xF1\x90",
		"{0x22,0xF1, 0x90};": "\x22\xF1\x90",
		"[0x22, 0xF1, 0x90]": "\x22\xF1\x90",
		`\x22\xf1\x90`:       "\x22\xF1\x90",
		`\x22F1 90`:          "\x22\xF1\x90",
		"22F1 90 # the VIN":  "\x22\xF1\x90",
		"00":                 "\x00",
		"# 22F190":           "",
		"":                   "",
		" \t,:.":             "",
	} {
		if got, err := Parse(text); string(got) != want || err != nil {
			t.Errorf("%q: % X, %v; want % X", text, got, err, want)
		}
	}
}

func TestErrorsNameTheGroup(t *testing.T) {
	for text, group := range map[string]string{
		"22F":             `"22F"`,
		"22 F1 9G # 3":    `"9G"`,
		"2 2":             `"2"`,
		"0x":              `"0x"`,
		"22 0x2":          `"0x2"`,
		"0x0x22":          `"0x0x22"`,
		"22|F1":           `"22|F1"`,
		`\x2`:             `"0x2"`,
		"22\x00":          `"22\x00"`,
		"\u00a022":        `"\u00a022"`,
		"22 F190 the VIN": `"the"`,
	} {
		want := group + " is not bytes of two hexadecimal digits each, such as 22 F1 90"
		if p, err := Parse(text); err == nil || err.Error() != want || p != nil {
			t.Errorf("%q: % X, %v; want %s", text, p, err, want)
		}
	}
}
