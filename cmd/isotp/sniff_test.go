package main

import (
	"strings"
	"testing"
)

const sniffedLog = `(1.000000) can0 7E0#2507070707070707
(1.001000) can0 7E0#0322F190CCCCCCCC
(1.002500) can0 7E8#100A62F190414243
(1.003000) can0 7E0#310000
(1.004000) can0 7E0#3008F5
(1.005000) can0 7E8#2144454647
(1.006000) can1 123#1014222222222222
(1.007000) can1 456#300000
(1.008000) can1 123#2122222222222222
(1.009000) can1 123#2322222222222222
(1.010000) can0 612#F1100A2222222222
(1.011000) can0 612#F121222222222222
(1.012000) can0 612#F1100D2222222222
(1.013000) can0 612#F121222222222222
(1.014000) can0 612#F12222222222
`

func TestSniff(t *testing.T) {
	for args, want := range map[string]string{
		"--time zero --uds": `
(0.000000)  can0  7E0  [7]  07 07 07 07 07 07 07  - '.......'  1 frame, 1ms  given up: begun before the first frame here (7 bytes came)
(0.001000)  can0  7E0  [3]  22 F1 90  - '"..'  [SRQ] ReadDataByIdentifier
(0.002500)  can0  7E8  [10]  62 F1 90 41 42 43 44 45 46 47  - 'b..ABCDEFG'  [PSR] ReadDataByIdentifier  2 frames, 2.5ms, BS 8, STmin F5 = 500 us, 1 WAIT
(0.006000)  can1  123  [20]  22 22 22 22 22 22 22 22 22 22 22 22 22  - '"""""""""""""'  [SRQ] ReadDataByIdentifier  2 frames, 3ms, BS 0, STmin 00 = 0 ms  given up: wrong sequence number: 3, want 2 (13 bytes came)
(0.010000)  can0  612#F1  [10]  22 22 22 22 22 22 22 22 22 22  - '""""""""""'  [SRQ] ReadDataByIdentifier  2 frames, 1ms, no flow control seen
(0.012000)  can0  612#F1  [13]  22 22 22 22 22 22 22 22 22 22 22 22 22  - '"""""""""""""'  [SRQ] ReadDataByIdentifier  3 frames, 2ms, no flow control seen
`,
		"--errors --time none --head 2 --format hex --interface can1": `
 can1  123  [20]  22 22 ...  2 frames, 3ms, BS 0, STmin 00 = 0 ms  given up: wrong sequence number: 3, want 2 (13 bytes came)
`,
		"--json --head 1 --id 7E8:": `
{"type":"message","time":"1970-01-01T00:00:01.0025Z","seconds":0.0025,"interface":"can0","pair":"7E8:","from":"7E8","result":"complete","size":10,"received":10,"data":"62","name":"ReadDataByIdentifier","frames":2,"flow_control":null}
{"type":"pair","interface":"can0","pair":"7E8:","mode":"normal","one_sided":false,"a":{"frames":2,"messages":1,"bytes":10,"given_up":0,"ignored_frames":0},"b":{"frames":0,"messages":0,"bytes":0,"given_up":0,"ignored_frames":0},"forgotten_frames":0}
`,
		"--format ascii --color always -t none --id 641#55:612#F1 --id 7E0:7E8": "" + `
` + "\x1b[31m can0  7E0  [7]  '.......'  1 frame, 1ms  given up: begun before the first frame here (7 bytes came)\x1b[0m" + `
` + "\x1b[31m can0  7E0  [3]  '\"..'\x1b[0m" + `
` + "\x1b[34m can0  7E8  [10]  'b..ABCDEFG'  2 frames, 2.5ms, BS 8, STmin F5 = 500 us, 1 WAIT\x1b[0m" + `
` + "\x1b[34m can0  612#F1  [10]  '\"\"\"\"\"\"\"\"\"\"'  2 frames, 1ms, no flow control seen\x1b[0m" + `
` + "\x1b[34m can0  612#F1  [13]  '\"\"\"\"\"\"\"\"\"\"\"\"\"'  3 frames, 2ms, no flow control seen\x1b[0m" + `
`,
	} {
		r := isotp(t.Context(), strings.NewReader(sniffedLog), append(words("sniff -"), words(args)...)...)
		r.want(t, exitOK, "")
		if "\n"+r.stdout != want {
			t.Errorf("sniff %s says\n%s\nwant%s", args, r.stdout, want)
		}
	}
}

func TestSniffTellsOfThePairs(t *testing.T) {
	r := isotp(t.Context(), strings.NewReader(sniffedLog), words("sniff --stats -")...)
	r.want(t, exitOK, "")
	const want = `can0  7E0:7E8  normal: 7E0: 4 frames, 1 message, 3 bytes, 1 given up; 7E8: 2 frames, 1 message, 10 bytes
can1  123:456  normal: 123: 3 frames, 0 messages, 0 bytes, 1 given up, 1 frame ignored; 456: 1 frame, 0 messages, 0 bytes
can0  612#F1:  extended, or mixed: 612#F1: 5 frames, 2 messages, 23 bytes
can0: of the pair 612#F1: only one side was seen
15 frames, 0 of no pair; 4 messages, 2 given up
`
	if r.stderr != want {
		t.Errorf("it says\n%s\nwant\n%s", r.stderr, want)
	}
}

func TestSniffRefusesWhatItCannotDo(t *testing.T) {
	for args, want := range map[string]string{
		"--head -1":                 "--head -1: it must be above 0",
		"--n-cr -1s":                "--n-cr -1s",
		"--id 7E0:7E8 --id 7E0:7E8": "the pair 7E0:7E8 is there twice",
		"--format 3":                "--format must be one of",
	} {
		isotp(t.Context(), strings.NewReader(sniffedLog), append(words("sniff -"), words(args)...)...).want(t, exitUsage, want)
	}
}
