package canlog

import (
	"strings"
	"testing"
	"time"
)

// The lines are as PEAK's programs and python-can write them.
func TestTRC(t *testing.T) {
	inZone(t, 0)
	const (
		start = ";$STARTTIME=44548.6028595139\n" // 2021-12-18 14:28:07.062
		plain = "(1639837704.597401) 1 00000100#0001020304050607 T"
	)
	for name, c := range map[string]struct {
		log  string
		want []string
	}{
		"1.0": {";##########\n;   C:\\test.trc\n;\n;----+-   ---+---\n     1)     17535  00000100  8  00 01 02 03 04 05 06 07\n     2)     17540  FFFFFFFF  4  00 00 00 08 -- -- -- -- BUSHEAVY\n    12)     48937      0704  1  RTR\n",
			[]string{"(0000000017.535000) 1 00000100#0001020304050607", "(0000000048.937000) 1 704#R1"}},
		"1.1": {";$FILEVERSION=1.1\n" + start + ";\n     1)     17535.4  Tx     00000100  8  00 01 02 03 04 05 06 07 \n     2)     17540.3  Warng  FFFFFFFF  4  00 00 00 08  BUSHEAVY \n    12)     48937.6  Rx         0704  1  RTR\n",
			[]string{plain, "(1639837735.999601) 1 704#R1"}},
		"1.2": {";$FILEVERSION=1.2\n" + start + "     1)     17535.400 1  Tx    00000100  8    00 01 02 03 04 05 06 07\n     2)         1.0 2  Rx    0100  1  FF\n",
			[]string{plain, "(1639837687.063001) 2 100#FF"}},
		"1.3": {";$FILEVERSION=1.3\n" + start + "     1)     17535.400 1  Tx    00000100 -  8    00 01 02 03 04 05 06 07\n     2)     17540.300 1  Warng FFFFFFFF -  4    00 00 00 08 BUSHEAVY\n    12)     48937.600 1  Rx        0704 -  1    RTR\n",
			[]string{plain, "(1639837735.999601) 1 704#R1"}},
		"2.0": {";$FILEVERSION=2.0\n" + start + ";$COLUMNS=N,O,T,I,d,l,D\n;\n      1     17535.400 DT 00000100 Tx 8  00 01 02 03 04 05 06 07\n      2     17540.300 ST          Rx    00 00 00 08\n      3     17540.300 ER          Rx    04 00 02 00 00\n     12     48937.600 RR     0704 Rx 1\n     13     48937.600 FB     0500 Tx 12 01 02 03 04 05 06 07 08 09 0A 0B 0C\n",
			[]string{plain, "(1639837704.602301) 1 20000080#0000000000000000", "(1639837735.999601) 1 704#R1", "(1639837735.999601) 1 500##10102030405060708090A0B0C T"}},
		"2.1": {";$FILEVERSION=2.1\n" + start + ";$COLUMNS=N,O,T,B,I,d,R,L,D\n      1     17535.400 DT 1  00000100 Tx -  8    00 01 02 03 04 05 06 07\n      2     17540.300 ST 1         - Rx -  4    00 00 00 08\n     12     48937.600 RR 2      0704 Rx -  1\n     13     48937.600 FE 2      0704 Rx -  9    01 02 03 04 05 06 07 08 09 0A 0B 0C\n     14     48937.600 BI 2      0704 Rx -  1    01\n",
			[]string{plain, "(1639837735.999601) 2 704#R1", "(1639837735.999601) 2 704##30102030405060708090A0B0C", "(1639837735.999601) 2 704##201"}},
	} {
		t.Run(name, func(t *testing.T) { wantFrames(t, c.log, c.want...) })
	}
}

// Old versions have the start time in a remark only, in the words of the system's language.
func TestTRCStartTimeInARemark(t *testing.T) {
	inZone(t, 0)
	const frame = "     1)     17535  00000100  8  00 01 02 03 04 05 06 07\n"
	const want = "(1639837704.597000) 1 00000100#0001020304050607" // 2021-12-18 14:28:07.062 and 17.535 s
	for _, remark := range []string{
		"18.12.2021 14:28:07.062.0", "18.12.2021 14:28:07.062", "12/18/2021 14:28:07.062.0", "12/18/2021 2:28:07.062.0 PM",
		"18/12/2021 14:28:07.062", "2021-12-18 14:28:07.062",
	} {
		wantFrames(t, ";##########\n;   C:\\test.trc\n;    Start time: "+remark+"\n;\n"+frame, want)
	}
	// The exact time, where it is, has more digits.
	wantFrames(t, ";$FILEVERSION=1.1\n;$STARTTIME=44548.6028595139\n;   Start time: 18.12.2021 14:28:07.000.0\n"+frame, "(1639837704.597001) 1 00000100#0001020304050607")
}

func TestTRCErrors(t *testing.T) {
	const head = ";$FILEVERSION=2.1\n;$COLUMNS=N,O,T,B,I,d,R,L,D\n"
	for line, names := range map[string]string{
		"1 x DT 1 0100 Rx - 1 01":                               `"x"`,
		"1 1.0 DT 0 0100 Rx - 1 01":                             `"0"`,
		"1 1.0 DT 1 FFFFFFFF Rx - 1 01":                         `"FFFFFFFF"`,
		"1 1.0 DT 1 0FFF Rx - 1 01":                             "0xFFF",
		"1 1.0 DT 1 0100 Rx - 16 01":                            `"16"`,
		"1 1.0 DT 1 0100 Rx - 2 01":                             "number 2",
		"1 1.0 DT 1 0100 Rx - 1 01 02":                          "more data",
		"1 1.0 DT 1 0100 Rx - 1 01" + strings.Repeat(" ", 2000): "more than 1024 bytes",
		";  Start time: yesterday, 9 o'clock":                   "9 o'clock",
		";  Start time: 18.12.1921 14:28:07.062.0":              "18.12.1921",
		";$STARTTIME=yesterday":                                 "yesterday",
		";$STARTTIME=25568.9":                                   "25568.9",
	} {
		frames, errs := readLog(t, strings.NewReader(head+line+"\n2 1.0 DT 1 0100 Rx - 1 01\n"))
		if len(frames) != 1 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "line 3") || !strings.Contains(errs[0].Error(), names) {
			t.Errorf("%q: frames %q, errors %v; want one that names line 3 and %s", line, frames, errs, names)
		}
	}
}

// The days since 1899 are those of a clock on the wall, also where summer time begins.
func TestTRCDays(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	local := time.Local
	time.Local = berlin
	defer func() { time.Local = local }()
	for _, at := range []time.Time{
		time.Date(2024, 3, 31, 12, 0, 0, 123e6, berlin), time.Date(2024, 1, 1, 0, 0, 0, 0, berlin),
		time.Date(1970, 1, 1, 1, 0, 0, 0, berlin), time.Date(2099, 12, 31, 23, 59, 59, 999e6, berlin),
	} {
		text := appendDays(nil, at)
		if ns, ok := parseDays(text); !ok || ns != at.UnixNano() {
			t.Errorf("%v is %s, which is %v, %v", at, text, time.Unix(0, ns), ok)
		}
	}
}
