package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const dumpedLog = `(1700000000.000000) can0 7DF#023E00
(1700000000.001000) can0 7E0#0322F190CCCCCCCC
(1700000000.002500) can0 7E8#100A62F190414243
(1700000000.003000) can1 7E0#3008F5
(1700000000.004000) can0 7E8#2F44
(1700000000.005000) can0 7E8#037F1012
(1700000000.006000) can0 18DA10F1##1003E22F1900000000000000000
(1700000000.007000) can0 18CE10F1#99323000
(1700000000.008000) can0 641#5502AABB
(1700000000.009000) can0 7E8#3700FA
(1700000000.010000) can0 123#08
(1700000000.011000) can0 123#
(1700000000.012000) can0 123#R
(1700000000.013000) can0 20000004#0001000000000000
`

func TestDump(t *testing.T) {
	for args, want := range map[string]string{
		"--time none": `
 can0  7DF  [3]  [SF] length 2     3E 00
 can0  7E0  [8]  [SF] length 3     22 F1 90 CC CC CC CC
 can0  7E8  [8]  [FF] length 10    62 F1 90 41 42 43
 can1  7E0  [3]  [FC] CTS BS 8 STmin F5 = 500 us
 can0  7E8  [2]  [CF] SN F         44
 can0  7E8  [4]  [SF] length 3     7F 10 12
 can0  18DA10F1 [16]  [SF] 00 3E 22 F1 90 00 00 00 00 00 00 00 00 00 00 00  (ignored: a length that cannot be)
 can0  18CE10F1{99}  [4]  [FC] OVFLW BS 48 STmin 00 = 0 ms
 can0  641  [4]  [??] 55 02 AA BB  (ignored: no type of ISO 15765-2)
 can0  7E8  [3]  [FC] 7 = reserved BS 0 STmin FA = reserved
 can0  123  [1]  [SF] 08  (ignored: a length that cannot be)
 can0  123  [0]  [??]  (ignored: no N_PCI)
 can0  123  [0]  [??] a remote frame
 can0  004  [8]  [??] an error frame: 00 01 00 00 00 00 00 00
`,
		"--time delta --interface can0 --id 7E0:7E8 --id 641#55: --ascii --uds": `
(0.000000)  can0  7E0  [8]  [SF] length 3     22 F1 90 CC CC CC CC  - '"......'  - [SRQ] ReadDataByIdentifier
(0.001500)  can0  7E8  [8]  [FF] length 10    62 F1 90 41 42 43     - 'b..ABC'   - [PSR] ReadDataByIdentifier
(0.001500)  can0  7E8  [2]  [CF] SN F         44                    - 'D'
(0.001000)  can0  7E8  [4]  [SF] length 3     7F 10 12              - '...'      - [NRC] DiagnosticSessionControl: subFunctionNotSupported
(0.003000)  can0  641{55}  [4]  [SF] length 2     AA BB              - '..'      - [???]
(0.001000)  can0  7E8  [3]  [FC] 7 = reserved BS 0 STmin FA = reserved
`,
		"-t z --color always --id obd --interface can1 --interface can0 --uds": "" + `
` + "\x1b[32m(0.000000)  can0  7DF  [3]  [SF] length 2     3E 00                 - [SRQ] TesterPresent\x1b[0m" + `
` + "\x1b[31m(0.001000)  can0  7E0  [8]  [SF] length 3     22 F1 90 CC CC CC CC  - [SRQ] ReadDataByIdentifier\x1b[0m" + `
` + "\x1b[34m(0.002500)  can0  7E8  [8]  [FF] length 10    62 F1 90 41 42 43     - [PSR] ReadDataByIdentifier\x1b[0m" + `
` + "\x1b[31m(0.003000)  can1  7E0  [3]  [FC] CTS BS 8 STmin F5 = 500 us\x1b[0m" + `
` + "\x1b[34m(0.004000)  can0  7E8  [2]  [CF] SN F         44\x1b[0m" + `
` + "\x1b[34m(0.005000)  can0  7E8  [4]  [SF] length 3     7F 10 12              - [NRC] DiagnosticSessionControl: subFunctionNotSupported\x1b[0m" + `
` + "\x1b[34m(0.009000)  can0  7E8  [3]  [FC] 7 = reserved BS 0 STmin FA = reserved\x1b[0m" + `
`,
		"--extended --time absolute --interface can1": "\n(1700000000.003000)  can1  7E0{30}  [3]  [SF] 08 F5  (ignored: a length that cannot be)\n",
	} {
		r := isotp(t.Context(), strings.NewReader(dumpedLog), append(words("dump -"), words(args)...)...)
		r.want(t, exitOK, "")
		if "\n"+r.stdout != want {
			t.Errorf("dump %s says\n%s\nwant%s", args, r.stdout, want)
		}
	}
}

func TestDumpRefusesWhatItCannotDo(t *testing.T) {
	for args, want := range map[string]string{
		"--id 7E0":              `--id 7E0: no colon in "7E0"`,
		"--id fixed::10":        "--id fixed::10: it leaves the peer open",
		"--id obd29":            "it hears many ECUs",
		"--extended --id 7E0:1": "--extended is for frames of all addresses",
		"--time x":              "--time must be one of",
	} {
		isotp(t.Context(), strings.NewReader(dumpedLog), append(words("dump -"), words(args)...)...).want(t, exitUsage, want)
	}
}

func TestALogIsToldFromABus(t *testing.T) {
	t.Chdir(t.TempDir())
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write([]byte(dumpedLog))
	w.Close()
	for name, data := range map[string]string{"drive": dumpedLog, "drive.log.gz": packed.String(), "text": "no log\nat all\n"} {
		if err := os.WriteFile(filepath.Clean(name), []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"drive", "drive.log.gz", "./drive", "candump:drive,fast"} {
		r := isotp(t.Context(), nil, "dump", "--time=none", "--id", "641#55:", name)
		r.want(t, exitOK, "")
		if !strings.Contains(r.stdout, "641{55}  [4]  [SF] length 2     AA BB\n") {
			t.Errorf("dump %s says %q, %q", name, r.stdout, r.stderr)
		}
	}
	isotp(t.Context(), nil, "dump", "nosuch.log").want(t, exitUsage, "nosuch.log")
	isotp(t.Context(), nil, "dump", "./nosuch").want(t, exitUsage, "nosuch")
	isotp(t.Context(), nil, "dump", "text").want(t, exitFailure, "text")
	isotp(t.Context(), nil, "dump", "nosuch:x").want(t, exitUsage, "nosuch")
	isotp(t.Context(), nil, "dump", "drive", "--interface", "can7").want(t, exitFailure, "drive has no frames of interface can7, but of can0, can1")
}

func TestDumpTellsOfLinesThatAreNoFrames(t *testing.T) {
	r := isotp(t.Context(), strings.NewReader(dumpedLog+"(1.0) can0 7E0#0\n"), "dump", "-")
	r.want(t, exitFailure, "1 line or record was no frame of standard input")
}
