package canlog

import (
	"strings"
	"testing"
)

const ascHead = "date Sam Sep 30 15:06:13.191 2017\nbase hex  timestamps absolute\ninternal events logged\n// version 9.0.0\nBegin Triggerblock Sam Sep 30 15:06:14.191 2017\n   0.000000 Start of measurement\n"

// The lines are as CANoe, log2asc and python-can write them.
func TestASC(t *testing.T) {
	inZone(t, 0)
	for name, c := range map[string]struct{ line, want string }{
		"29 bits":       {"   3.098426 1  18EBFF00x       Rx   d 8 01 A0 0F A6 60 3B D1 40    Length = 273910 BitCount = 141 ID = 418119424x", "(1506783977.289426) 1 18EBFF00#01A00FA6603BD140"},
		"11 bits, sent": {"   3.098426 2  7e0 Tx d 3 02 10 03", "(1506783977.289426) 2 7E0#021003 T"},
		"no data":       {"   3.098426 1  7E0             Rx   d 0", "(1506783977.289426) 1 7E0#"},
		"DLC above 8":   {"   3.098426 1  3FF             Tx   d D 55 AA 01 02 03 04 05 06  Length = 232016", "(1506783977.289426) 1 3FF#55AA010203040506 T"},
		"remote":        {"   3.098426 2 100 Tx r", "(1506783977.289426) 2 100#R T"},
		"remote, ID":    {"   3.098426 2 200 Tx r Length = 1704000 BitCount = 145 ID = 88888888x", "(1506783977.289426) 2 200#R T"},
		"remote, 8":     {"   3.098426 2 300 Rx r 8 Length = 1704000", "(1506783977.289426) 2 300#R8"},
		"error":         {"   3.098426 1 ErrorFrame ECC: 10100010", "(1506783977.289426) 1 20000080#0000000000000000"},
		"FD":            {"   3.098426 CANFD   1 Rx        300                                   1 0 8  8 11 c2 03 04 05 06 07 08   102203  133   303000 e0006659 46500250 4b140250 20011736 2001040d", "(1506783977.289426) 1 300##111C2030405060708"},
		"FD, no BRS":    {"   3.098426 CANFD   2 Tx        1C4D80A7x                             0 1 9 12 11 c2 03 04 05 06 07 08 09 0A 0B 0C 102203  133   305000 0 0 0 0 0", "(1506783977.289426) 2 1C4D80A7##211C2030405060708090A0B0C T"},
		"FD, name":      {"   3.098426 CANFD   3 Rx        30a  Generic_Name_12                  1 1 1  1 01   102203  133   307000 e0006659 46500250", "(1506783977.289426) 3 30A##301"},
		"FD, old":       {"   3.098426 CANFD   3 Rx        30a  0 0 1  1 01", "(1506783977.289426) 3 30A##001"},
		"FD, classic":   {"   3.098426 CANFD   1 Rx        123                                   0 0 2  2 01 02   130000  130        0 0 0 0 0 0", "(1506783977.289426) 1 123#0102"},
		"FD, remote":    {"   3.098426 CANFD   3 Tx     50005x                                0 1 5 0 140000 73 200050 7a60 46500250 460a0250 20011736 20010205", "(1506783977.289426) 3 00050005#R5 T"},
		"FD, error":     {"   3.098426 CANFD   5 Tx ErrorFrame Not Acknowledge error, dominant error flag fffe c7 31ca Arb. 556 44 0 0 f 64 00", "(1506783977.289426) 5 20000080#0000000000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			wantFrames(t, ascHead+c.line+"\r\nEnd TriggerBlock\n", c.want)
			wantFrames(t, c.line, "(0000000003.098426)"+c.want[19:]) // found without a header
		})
	}
}

func TestASCSkipsOtherEvents(t *testing.T) {
	wantFrames(t, "base hex timestamps absolute\n"+
		"   0.015991 CAN 1 Status:chip status error passive - TxErr: 132 RxErr: 0\n"+
		"   1.015991 1  Statistic: D 0 R 0 XD 0 XR 0 E 0 O 0 B 0.00%\n"+
		"   3.297743 1  J1939TP FEE3p        6    0  0   -   Rx   d 23 A0 0F A6\n"+
		"   3.3 1  7E0             TxRq   d 3 02 10 03\n"+
		"   3.4 1  7E0             Tx   d 3 02 10 03\n"+
		"   4.0 Li 1 Rx\n"+
		"// a remark\n\n", "(0000000003.400000) 1 7E0#021003 T")
}

// Remarks may stand anywhere, behind spaces of any kind and number.
func TestASCSkipsRemarksFarToTheRight(t *testing.T) {
	inZone(t, 0)
	for _, space := range []string{strings.Repeat(" ", 200), "\u00a0", "\u0085", "\v\f"} {
		for _, remark := range []string{"", "// a remark", "date"} {
			wantFrames(t, ascHead+space+remark+"\n   3.098426 1  7E0 Rx d 0\n", "(1506783977.289426) 1 7E0#")
		}
	}
}

func TestASCBasesAndTimes(t *testing.T) {
	inZone(t, 0)
	const frames = "  1.5 1  16              Rx   d 2 16 255\n  0.5 1 33x Tx d 1 1\n  0.25 1 Statistic: D 0\n  0.25 1 33x Tx r 8\n"
	t.Run("decimal", func(t *testing.T) {
		wantFrames(t, "base dec timestamps absolute\n"+frames,
			"(0000000001.500000) 1 010#10FF", "(0000000000.500000) 1 00000021#01 T", "(0000000000.250000) 1 00000021#R8 T")
	})
	t.Run("decimal, then hexadecimal", func(t *testing.T) {
		wantFrames(t, "base dec timestamps absolute\n 1.5 1 16 Rx d 1 16\nbase hex timestamps absolute\n 2.5 1 16 Rx d 1 16\n",
			"(0000000001.500000) 1 010#10", "(0000000002.500000) 1 016#16")
	})
	t.Run("relative", func(t *testing.T) {
		wantFrames(t, "date Thu Apr 28 10:44:52.480 pm 2022\nbase dec timestamps relative\n"+frames,
			"(1651185893.980000) 1 010#10FF", "(1651185894.480000) 1 00000021#01 T", "(1651185894.980000) 1 00000021#R8 T")
	})
}

// The times of all blocks count from the first.
func TestASCBlocks(t *testing.T) {
	inZone(t, 0)
	wantFrames(t, ascHead+" 1.0 1 7E0 Rx d 0\nEnd TriggerBlock\nBegin Triggerblock Sam Sep 30 15:06:44.191 2017\n 31.0 1 7E0 Rx d 0\nEnd TriggerBlock\n",
		"(1506783975.191000) 1 7E0#", "(1506784005.191000) 1 7E0#")
}

func TestASCDates(t *testing.T) {
	inZone(t, 0)
	for date, want := range map[string]string{
		"Thu Apr 28 10:44:52.480 am 2022": "2022-04-28T10:44:52.48Z",
		"Thu Apr 28 12:44:52 PM 2022":     "2022-04-28T12:44:52Z",
		"Thu Apr 28 12:00:52 am 2022":     "2022-04-28T00:00:52Z",
		"Fre Dez 1 23:44:52.480 2023":     "2023-12-01T23:44:52.48Z",
		"Mit M\xe4r 1 23:44:52 2023":      "2023-03-01T23:44:52Z",
		"Mit Mär 01 23:44:52 2023":        "2023-03-01T23:44:52Z",
	} {
		at, err := parseASCDate(strings.Fields(strings.ToLower(date)))
		if err != nil || at.Format("2006-01-02T15:04:05.999Z07:00") != want {
			t.Errorf("%s is %v, %v; want %s", date, at, err, want)
		}
	}
	for _, date := range []string{"Thu", "Thu Foo 28 10:44:52 2022", "Thu Apr 31 10:44:52 2022", "Thu Apr 28 25:44:52 2022", "Thu Apr 28 10:44:52 1922"} {
		frames, errs := readLog(t, strings.NewReader("date "+date+"\n 1.0 1 7E0 Rx d 0\n"))
		if len(errs) != 1 || len(frames) != 1 || frames[0] != "(0000000001.000000) 1 7E0#" || !strings.Contains(errs[0].Error(), strings.ToLower(date)) {
			t.Errorf("%s: frames %q, errors %v", date, frames, errs)
		}
	}
}

func TestASCErrors(t *testing.T) {
	for line, names := range map[string]string{
		" 1.0 1 7E0 Rx d 3 01 02":                             `number 3 is ""`,
		" 1.0 1 7E0 Rx d 3 01 102 03":                         `"102"`,
		" 1.0 1 7E0 Rx x 3 01 02 03":                          `"x"`,
		" 1.0 1 7E0 Rx d 1F 01 02 03":                         `"1F"`,
		" 1.0 CANFD 1 Rx 800 0 0 1 1 01":                      `"800"`,
		" 1.0 1 800 Rx d 1 01":                                `"800" is no identifier`,
		" 1.0 1 EngineData Rx d 1 01":                         `"EngineData" is no identifier`,
		" 1.0 1 EngineData Tx r":                              `"EngineData" is no identifier`,
		" 1.0 1 7E0 Rx d 3 01 02 03 04":                       `"04" is behind the 3 data bytes`,
		" 1.0 CANFD 1 Rx 700 0 0 1 65 01":                     `"65"`,
		" 1.0 CANFD 1 Rx 700 0 0 9 9 01 2 3 4 5 6 7 8 9":      "9 bytes in CAN FD frame 700",
		" 1.0 CANFD 1 Rx 700 0 0 9 12 01 2 3 4 5 6 7 8 9":     "number 10",
		" 1.0 1 7E0 Rx d 3 01" + strings.Repeat(" ", maxLine): "more than 1024 bytes",
	} {
		frames, errs := readLog(t, strings.NewReader(" 1.0 1 001 Rx d 0\n"+line+"\n 1.0 1 001 Rx d 0\n"))
		if len(frames) != 2 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "line 2") || !strings.Contains(errs[0].Error(), names) {
			t.Errorf("%q: frames %q, errors %v; want one that names line 2 and %s", line, frames, errs, names)
		}
	}
}
