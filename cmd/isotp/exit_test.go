package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wrongLines are command lines with an error of their own, by what it says. ADDR stands for
// an address, FILE for a file that is no log and no file of responses, and DIR for a folder.
var wrongLines = []struct{ args, text string }{
	{"", "expected one of"},
	{"listen", "unexpected argument listen (see isotp --help)"},
	{"send", "<address>"},
	{"recv --nonsense ADDR", "unknown flag --nonsense (see isotp recv --help)"},
	{"help nothing", "unexpected argument nothing (see isotp --help)"},
	{"send virtual:usage/fixed::10", "pattern for listeners"},
	{"recv virtual:usage/:7E8", "--listen-only"},
	{"recv virtual:usage/7DF:", "only sends"},

	{"send --stmin 150us ADDR", "--stmin 150µs: "},
	{"send --stmin fast ADDR", `--stmin: "fast" is not a time with its unit, as 300us, 50ms or 2s`},
	{"send --timeout 5 ADDR", `--timeout: "5" is not a time with its unit`},
	{"send --generate random --seed mine ADDR", `--seed: "mine" is not a whole number from 0 on, as 10`},
	{"replay --speed fast FILE virtual:usage", `--speed: "fast" is not a number, as 0.5 or 10`},
	{"recv --count many ADDR", `--count: "many" is not a whole number, as 10`},
	{"recv --count 1e3 ADDR", `--count: "1e3" is not a whole number, as 10`},
	{"recv --count 99999999999999999999 ADDR", "--count: 99999999999999999999 is too large a number"},
	{"send --transmit-timeout -1s ADDR", "--transmit-timeout -1s: "},
	{"recv --flow-control-timeout -1s ADDR", "--flow-control-timeout -1s: "},
	{"recv --flow-control-hold 2s ADDR", "--flow-control-hold 2s: it must be below --flow-control-timeout (1s)"},
	{"recv --consecutive-frame-timeout -1s ADDR", "--consecutive-frame-timeout -1s: "},
	{"recv --block-size 256 ADDR", "--block-size 256: it must be from 0 to 255"},
	{"send --frame-size 9 ADDR", "--frame-size 9: "},
	{"send --frame-size 64 ADDR", "--frame-size 64: above 8 it needs --fd"},
	{"send --min-frame-size 9 ADDR", "--min-frame-size 9: "},
	{"send --min-frame-size 8 --padding none ADDR", "--min-frame-size 8: it must be 0 with --padding none"},
	{"recv --max-message-size 4294967296 ADDR", "--max-message-size 4294967296: "},
	{"send --max-send-size -1 ADDR", "--max-send-size -1: "},
	{"recv --read-buffer -1 ADDR", "--read-buffer -1: "},
	{"send --padding 1CC ADDR", "--padding: "},
	{"send --brs ADDR", "--brs: it needs --fd"},
	{"send --rate-limit -1 ADDR", "--rate-limit -1: "},
	{"send --rate-limit 10 ADDR", "--rate-limit 10: with a --rate-window of 200ms it lets 2 bits pass"},
	{"send --rate-window -1s ADDR", "--rate-window -1s: "},
	{"send --rate-window 1s ADDR", "--rate-window 1s: it needs --rate-limit"},
	{"send --pacing slow ADDR", "--pacing must be one of"},
	{"send --log all ADDR", "--log must be one of"},
	{"send --rx-padding AA --network isotp:user ADDR", "--kernel-flags, --frame-tx-time, --rx-stmin, --rx-padding: these are options of the kernel's sockets"},

	{"send --hex --single ADDR", "--hex and --single can't be used together"},
	{"send --size 5 --functional 7DF: ADDR", "Single Frame"},
	{"send --size -1 ADDR", `--size: "-1" is not a size`},
	{"send --message-size -1 ADDR", "--message-size -1: "},
	{"send --timeout -1s ADDR", "--timeout -1s: "},
	{"send --functional 7DF ADDR", `--functional 7DF: no colon in "7DF"`},
	{"send --functional 7E0:7E8 ADDR", "--functional 7E0:7E8: it must be an address that only sends, as 7DF:"},
	{"recv --count -1 ADDR", "--count -1: "},
	{"recv --timeout -1s ADDR", "--timeout -1s: "},
	{"recv --hex --long ADDR", "--hex and --long can't be used together"},
	{"recv --hex --stream ADDR", "--hex and --stream can't be used together"},
	{"recv --count 1 --stream ADDR", "--stream and --count can't be used together"},
	{"send --single --stream ADDR", "--single and --stream can't be used together"},
	{"send --stream --functional 7DF: ADDR", "--stream and --functional can't be used together"},
	{"send --network isotp-stream ADDR", "--network isotp-stream carries connections: it needs --stream"},

	{"proxy tcp::80 nothing", "nothing"},
	{"proxy tcp:80 ADDR", "tcp:80: want tcp:HOST:PORT"},
	{"proxy ADDR tcp:80", "tcp:80: want tcp:HOST:PORT"},
	{"proxy tcp:127.0.0.1:99999 ADDR", "invalid port"},
	{"proxy tcp:127.0.0.1:0 virtual:usage/7DF:", "want both sides"},
	{"proxy --timeout -1s tcp::80 ADDR", "--timeout -1s"},
	{"proxy --hex --network isotp-stream tcp::80 ADDR", "--network isotp-stream carries connections"},
	{"proxy --network isotp tcp::80 ADDR", "--network isotp carries messages: it needs --hex"},
	{"proxy --hex ADDR tcp:127.0.0.1:80", "with --hex the clients come by tcp:HOST:PORT or unix:PATH"},
	{"proxy --hex tcp:127.0.0.1:0 virtual:usage/7DF:", "want both sides"},

	{"demo --size -1", "--size -1: "},
	{"demo --bitrate -1", "--bitrate -1: "},
	{"demo --bitrate 500000 ADDR FILE", "--bitrate 500000: it is for the demo's own bus"},
	{"demo --data-bitrate -1", "--data-bitrate -1: "},
	{"demo --data-bitrate 2000000 --fd", "--data-bitrate 2000000: it needs --bitrate and --fd"},
	{"demo --data-bitrate 2000000 --bitrate 500000", "--data-bitrate 2000000: it needs --bitrate and --fd"},
	{"demo --frame-size -5", "--frame-size -5: "},
	{"demo one two", "of two arguments the first is the address"},
	{"demo DIR/none", "none"},
	{"demo DIR", "is not a regular file"},

	{"ecu --count 0 virtual:x/obd", "--count 0: it must be from 1 to 16"},
	{"ecu --count 9 virtual:x/obd", "--count 9: ISO 15765-4 has 8 ECUs with identifiers of 11 bits"},
	{"ecu --vin ABC virtual:x/obd", `--vin "ABC" has 3 characters: it must have 17`},
	{"ecu --name 123456789012345678901 virtual:x/obd", "it must have at most 20"},
	{"ecu --responses FILE virtual:x/obd", `line 1: no colon in "22F190": want REQUEST : ANSWER`},
	{"ecu --responses DIR/none virtual:x/obd", "none"},
	{"ecu virtual:x/7DF:", "to listen name both sides"},

	{"obd virtual:x/obd 09G2", `request "09G2" is not bytes of two hexadecimal digits each, such as 22 F1 90`},
	{"obd virtual:x/obd #", "the request has no bytes"},
	{"obd --timeout 0s virtual:x/obd", "--timeout 0s: it must be above 0"},
	{"obd --count -1 virtual:x/obd", "--count -1: "},
	{"obd --simulate 9 virtual:x/obd", "--simulate 9: it must be from 1 to 8"},
	{"obd --block-size 8 virtual:x/obd", "--block-size 8: on an obd address ISO 15765-4 decides; leave it zero"},
	{"obd ADDR", "the request needs --to there"},
	{"obd virtual:x/7E0:7E8,7E1:7E9", "the request needs --to there"},
	{"obd --to 7DF virtual:x/obd", `--to 7DF: no colon in "7DF"`},

	{"request", "<address>"},
	{"request ADDR 22F19", `request "22F19" is not bytes of two hexadecimal digits each, such as 22 F1 90`},
	{"request ADDR #", `request "#" has no bytes`},
	{"request ADDR 22 F1 90", "these are 3 requests of one byte each; for one request write them as one argument, as '22 F1 90'"},
	{"request virtual:usage/7DF: 3E00", `"virtual:usage/7DF:" is not one ECU: want both sides`},
	{"request virtual:usage/7E0:7E8,7E1:7E9 3E00", "--functional for the answers of many"},
	{"request --functional 7DF ADDR 3E00", `--functional 7DF: no colon in "7DF"`},
	{"request --functional 7E0:7E8 ADDR 3E00", "it must be an address that only sends"},
	{"request --p2 -1s ADDR 3E00", "--p2 -1s: it must be 0 or more"},
	{"request --s3 0s ADDR 3E00", "--s3 0s: it must be above 0"},
	{"request --delta-p2 -1s ADDR 3E00", "--delta-p2 -1s: it must be 0 or more"},
	{"request --timeout -1s ADDR 3E00", "--timeout -1s: "},
	{"request --network isotp:kernel ADDR 3E00", "--network must be one of"},
	{"request --json --raw ADDR 3E00", "can't be used together"},
	{"request --simulate 9 ADDR 3E00", "--simulate 9: "},
	{"request --listen-only ADDR 3E00", "--listen-only"},

	{"scan virtual:x --ids 7E", `--ids: "7E" is not an identifier`},
	{"scan virtual:x --extended 6F1#xx", `--extended: "xx" is not a byte`},
	{"scan virtual:x --fixed 7E0", `--fixed: "7E0" is not a byte`},
	{"scan virtual:x --mixed 7E0#100", `--mixed: "100" is not a byte`},
	{"scan virtual:x --from 7E8 --ids 7E0-7E7", "--from: 7E8 is not among the addresses to be probed"},
	{"scan virtual:x --source 100", `"100" is not a byte in hexadecimal, such as F1`},
	{"scan virtual:x --padding 100", `"100" is not a byte in hexadecimal, such as CC, nor none`},
	{"scan virtual:x --rate 0", "--rate 0: it must be at least 1"},
	{"scan virtual:x --wait 0s", "--wait 0s: it must be above 0"},
	{"scan virtual:x --listen -1s", "--listen -1s: it must not be negative"},
	{"scan virtual:x --brs", "--brs: it needs --fd"},
	{"scan virtual:x --simulate 7E8", `no colon in "7E8"`},
	{"scan candump:FILE", "is a log"},

	{"tun --mtu 67 ADDR", "--mtu 67: it must be from 68 to 65535"},
	{"tun --ip 10.9.0.1 ADDR", `"10.9.0.1" is not an address with the bits of its network, as 10.9.0.1/30 or fd09::1/64`},
	{"tun --network isotp-stream ADDR", "--network isotp-stream carries connections"},

	{"record virtual:x DIR/a.log --keep 2", "--keep 2: it needs --rotate"},
	{"record virtual:x DIR/a.log --keep -2", "--keep -2"},
	{"record virtual:x DIR/a.log --rotate 0", `"0" is not a number of bytes`},
	{"record virtual:x DIR/a.log --rotate 9999999999G", "--rotate"},
	{"record virtual:x DIR/a.log --rotate big", `"big" is not a number of bytes`},
	{"record virtual:x - --rotate 1M", "standard output"},
	{"record virtual:x DIR/no/such/folder.log", "folder.log"},
	{"record candump:nothing.log,maxpause=0 DIR/a.log", `maxpause "0" is not a time above 0`},
	{"record candump:FILE DIR/a.log", "is no frame"},
	{"recv candump:FILE/7E0:7E8", "is no frame"},

	{"replay --fast --speed 2 nothing.log virtual:x", "can't be used together"},
	{"replay --speed -1 nothing.log virtual:x", "--speed -1: it must be above 0"},
	{"replay --speed 0 nothing.log virtual:x", "--speed 0: it must be above 0"},
	{"replay --max-pause 0s nothing.log virtual:x", "--max-pause 0s: it must be above 0"},
	{"replay --max-pause -1s nothing.log virtual:x", "--max-pause -1s: it must be above 0"},
	{"replay --gap 0s nothing.log virtual:x", "--gap 0s: it must be above 0"},
	{"replay --gap 1s --fast nothing.log virtual:x", "can't be used together"},
	{"replay --gap 1s --max-pause 1s nothing.log virtual:x", "--gap and --max-pause at once"},
	{"replay --loop often nothing.log virtual:x", `"often" is not a number, nor forever`},
	{"replay --loop 2 - virtual:x", "standard input can be read only once"},
	{"replay nothing.log virtual:x virtual:y", "as can0=virtual:x"},
	{"replay nothing.log can0=", "want BUS, or NAME=BUS"},
	{"replay nothing.log can0=virtual:x can0=virtual:y", "can0 are to go to virtual:x and to virtual:y"},
	{"replay FILE virtual:x", "is no frame"},
	{"replay DIR/none virtual:x", "none"},

	{"serve-bus a@b", `"a@b": a client cannot name it; give it a name of its own, as can0=a@b`},
	{"serve-bus can0=", "NAME=BUS"},
	{"serve-bus x=virtual:a x=virtual:b", "same name"},
	{"serve-bus --no-beacon --listen nowhere virtual:x", "--listen nowhere: missing port in address: want HOST:PORT"},
	{"serve-bus --no-beacon --listen 127.0.0.1:99999 virtual:x", "--listen 127.0.0.1:99999: invalid port"},

	{"link up", "<interface>"},
	{"link down", "<interface>\" (see isotp link down --help)"},
	{"link up can0 can1", "unexpected argument can1"},
	{"link up can0 --bitrate", "--bitrate"},
	{"link up can0 --bitrate fast", "--bitrate"},
	{"link up can0 --bitrate -1", "--bitrate"},
	{"link up can0 --bitrate 5000000000", "--bitrate"},
	{"link up can0 --data-bitrate 2000000", "unknown flag --data-bitrate"},
	{"link down can0 --bitrate 500000", "unknown flag --bitrate"},
	{"link sideways can0", "unexpected argument sideways"},
	{"link up can0 --listen-only --vcan vcan0", "unknown flag --vcan"},
	{"link up --bitrate 500000 --listen-only=x", "--listen-only"},
}

func TestWrongCommandLines(t *testing.T) {
	exits := newExits(t)
	for _, c := range wrongLines {
		exits(c.args, exitUsage, c.text)
	}
}

// commandsOfAnAddress take an address, which stands for ADDR.
var commandsOfAnAddress = []string{
	"send ADDR", "recv ADDR", "send --stream ADDR", "recv --stream ADDR",
	"ecu ADDR", "obd ADDR", "request ADDR 3E00", "proxy ADDR tcp:127.0.0.1:0", "proxy tcp:127.0.0.1:0 ADDR",
}

func TestWrongAddresses(t *testing.T) {
	exits := newExits(t)
	for address, text := range map[string]string{
		"virtual:usage/":          "no endpoint after the last slash",
		"virtual:usage/7E0":       `no colon in "7E0"`,
		"virtual:usage/7E0:XYZ":   `identifier "XYZ" is not a hexadecimal number`,
		"virtual:usage/7E00:7E8":  `identifier "7E00" has 4 digits`,
		"virtual:usage/7E0:7E0":   "would hear itself",
		"virtual:usage/fixed:100": "address virtual:usage/fixed:100: ",
	} {
		exits("send "+address, exitUsage, text)
	}
	for address, text := range map[string]string{
		"virtual:usage": "no slash",
		"/7E0:7E8":      "no bus: want for example can0/7E0:7E8, or the bus in ISOTP_BUS (see isotp help addresses)",
		"7E0:7E8":       "no bus: want for example can0/7E0:7E8, or the bus in ISOTP_BUS (see isotp help addresses)",
	} {
		for _, command := range commandsOfAnAddress {
			exits(strings.ReplaceAll(command, "ADDR", address), exitUsage, text)
		}
		// The demo cannot know that this was to be an address.
		exits("demo "+address+" FILE", exitUsage, "of two arguments the first is the address")
	}
}

func TestWrongNetworks(t *testing.T) {
	exits := newExits(t)
	for _, command := range []string{
		"send --network tcp", "recv --network isotp:hardware", "ecu --network isotp-stream", "obd --network isotp:kernel",
		"request --network isotp-stream",
		"demo --network isotp-stream", "proxy --network tcp tcp:127.0.0.1:0",
	} {
		exits(command+" ADDR", exitUsage, "--network must be one of ")
	}
}

// commandsOfABus open a bus, which stands for BUS, before they do anything else.
var commandsOfABus = []string{
	"send BUS/7E0:7E8", "recv BUS/7E8:7E0", "send --stream BUS/7E0:7E8", "recv --stream BUS/7E8:7E0",
	"ecu BUS/7E8:7E0", "obd BUS/obd", "request BUS/7E0:7E8 3E00", "request BUS/obd 3E00", "demo BUS/7E0:7E8 FILE", "proxy BUS/7E8:7E0 tcp:127.0.0.1:0",
	"record BUS DIR/a.log", "replay LOG BUS", "serve-bus --no-beacon x=BUS", "dump BUS", "sniff BUS", "perf BUS",
	"proxy --hex tcp:127.0.0.1:0 BUS/7E0:7E8",
}

func TestWrongBuses(t *testing.T) {
	exits := newExits(t)
	for bus, text := range map[string]string{
		"udp:nowhere":                      "is not GROUP:PORT",
		"udp:10.0.0.1:5":                   "is not a multicast address",
		"udp:239.74.163.2:99999":           "is not from 1 to 65535",
		"udp:239.74.163.2%nosuch:43113":    `interface "nosuch"`,
		"slcan:/dev/none":                  "is not PORT@BITRATE",
		"slcan:/no/such/port@500000":       notThere(t, "/no/such/port"),
		"slcan:tcp:nowhere@500000":         "is not HOST:PORT",
		"pcan:USB17@500000":                "USB1 to USB16",
		"j2534:openport":                   "is not NAME@BITRATE",
		"cannelloni:192.168.0.2":           "is not udp, tcp or tcp-listen",
		"cannelloni:udp:127.0.0.1,mtu=9":   `mtu "9" is not from 123 to 65535`,
		"socketcand:nohost":                "is not HOST:PORT/BUS",
		"socketcand:127.0.0.1:1/can0@fast": `bit rate "fast"`,
		"candump:":                         "a bus needs the name of a log file",
		"candump:DIR/none,speed=0":         `speed "0" is not a number above 0`,
		"virtual:":                         "a bus needs a name",
	} {
		exits("record "+bus+" DIR/a.log", exitUsage, text)
	}
	for bus, text := range map[string]string{
		"nosuch:x":             `bus "nosuch:x": there are no buses nosuch: (see isotp help buses)`,
		"slcan:/dev/none@fast": `"fast" is not a number above 0 (see isotp help buses)`,
		"candump:DIR/none":     notThere(t, filepath.Join(t.TempDir(), "none")),
	} {
		for _, command := range commandsOfABus {
			exits(strings.ReplaceAll(command, "BUS", bus), exitUsage, text)
		}
	}
}

// notThere returns what this system says of a file that is not there.
func notThere(t *testing.T, path string) string {
	t.Helper()
	_, err := os.Stat(path)
	e, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		t.Fatalf("%s: %v", path, err)
	}
	return e.Err.Error()
}

// The command line is right, and another one would not help.
func TestBusThatCannotBeOpened(t *testing.T) {
	exits := newExits(t)
	for _, command := range commandsOfABus {
		exits(strings.ReplaceAll(command, "BUS", "socketcand:127.0.0.1:1/can0"), exitFailure, "refused")
	}
}

// newExits returns a function that runs a command line, with the words of wrongLines
// replaced, and checks its exit status and the one line that it says.
func newExits(t *testing.T) func(line string, status int, text string) {
	dir := t.TempDir()
	file, log := filepath.Join(dir, "file"), filepath.Join(dir, "log")
	for path, content := range map[string]string{file: "22F190\n", log: "(1.0) can0 001#\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replace := strings.NewReplacer("ADDR", "virtual:usage/7E0:7E8", "FILE", file, "LOG", log, "DIR", dir)
	return func(line string, status int, text string) {
		t.Helper()
		r := isotp(t.Context(), strings.NewReader("AB"), words(replace.Replace(line))...)
		bad := r.status != status || !strings.Contains(r.stderr, text) || r.stdout != ""
		if lines := strings.Count(r.stderr, "\n"); bad || lines != 1 || !strings.HasPrefix(r.stderr, "isotp: ") {
			t.Errorf("isotp %s\nhas exit status %d and says %q%q\nwant %d and one line with %q", line, r.status, r.stdout, r.stderr, status, text)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
			t.Errorf("isotp %s: it has made a file: %v, %v", line, left, err)
		}
	}
}

// The library's errors are for programmers.
func TestErrorsAreInTheToolsWords(t *testing.T) {
	for _, tc := range []struct{ args, text string }{
		{"demo --size 5000 --max-message-size 100", "(--split-writes makes several of one), or have it take longer ones (--max-message-size, recv --long)"},
		{"send --single --network isotp:user --max-send-size 1 virtual:usage/7E0:7E8", "message too long: 2 bytes, at most 1 can be sent: --max-send-size; for bytes of any number there are --split-writes and isotp-stream"},
	} {
		isotp(t.Context(), strings.NewReader("AB"), words(tc.args)...).want(t, exitFailure, tc.text)
	}
}
