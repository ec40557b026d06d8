package udpmulticast

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"github.com/tinylib/msgp/msgp"
)

// packed are what python-can 4.1.0 makes of messages with the timestamp 1.5.
var packed = []struct {
	name  string
	frame canbus.Frame
	hex   string
}{
	{"Classic", canbus.Frame{ID: 0x7E0, Len: 3, Data: [64]byte{2, 0x10, 3}},
		"8ba974696d657374616d70cb3ff8000000000000ae6172626974726174696f6e5f6964cd07e0ae69735f657874656e6465645f6964c2af69735f72656d6f74655f6672616d65c2ae69735f6572726f725f6672616d65c2a76368616e6e656cc0a3646c6303a464617461c403021003a569735f6664c2ae626974726174655f737769746368c2b56572726f725f73746174655f696e64696361746f72c2"},
	{"Extended", canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended},
		"8ba974696d657374616d70cb3ff8000000000000ae6172626974726174696f6e5f6964ce18daf110ae69735f657874656e6465645f6964c3af69735f72656d6f74655f6672616d65c2ae69735f6572726f725f6672616d65c2a76368616e6e656cc0a3646c6300a464617461c400a569735f6664c2ae626974726174655f737769746368c2b56572726f725f73746174655f696e64696361746f72c2"},
	{"Remote", canbus.Frame{ID: 0x123, Flags: canbus.Remote, Len: 8},
		"8ba974696d657374616d70cb3ff8000000000000ae6172626974726174696f6e5f6964cd0123ae69735f657874656e6465645f6964c2af69735f72656d6f74655f6672616d65c3ae69735f6572726f725f6672616d65c2a76368616e6e656cc0a3646c6308a464617461c400a569735f6664c2ae626974726174655f737769746368c2b56572726f725f73746174655f696e64696361746f72c2"},
	{"Error", canbus.Frame{ID: 4, Flags: canbus.ErrorFrame | canbus.Extended, Len: 8},
		"8ba974696d657374616d70cb3ff8000000000000ae6172626974726174696f6e5f696404ae69735f657874656e6465645f6964c3af69735f72656d6f74655f6672616d65c2ae69735f6572726f725f6672616d65c3a76368616e6e656cc0a3646c6308a464617461c4080000000000000000a569735f6664c2ae626974726174655f737769746368c2b56572726f725f73746174655f696e64696361746f72c2"},
	{"FD", canbus.Frame{ID: 0x7E0, Flags: canbus.FD | canbus.BRS | canbus.ESI, Len: 12, Data: [64]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		"8ba974696d657374616d70cb3ff8000000000000ae6172626974726174696f6e5f6964cd07e0ae69735f657874656e6465645f6964c2af69735f72656d6f74655f6672616d65c2ae69735f6572726f725f6672616d65c2a76368616e6e656cc0a3646c630ca464617461c40c000102030405060708090a0ba569735f6664c3ae626974726174655f737769746368c3b56572726f725f73746174655f696e64696361746f72c3"},
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMessagesAreThoseOfPythonCAN(t *testing.T) {
	for _, c := range packed {
		t.Run(c.name, func(t *testing.T) {
			got := appendMessage(nil, &c.frame, time.Unix(1, 500_000_000))
			if hex.EncodeToString(got) != c.hex {
				t.Errorf("packed\n%x, want\n%s", got, c.hex)
			}
			f, err := parseMessage(unhex(t, c.hex))
			if err != nil || f != c.frame {
				t.Errorf("parsed %v, %v; want %v", f, err, c.frame)
			}
		})
	}
}

// message packs a map of what is given, keys and values by turns.
func message(t *testing.T, list ...any) []byte {
	t.Helper()
	b := msgp.AppendMapHeader(nil, uint32(len(list)/2))
	for _, v := range list {
		var err error
		if b, err = msgp.AppendIntf(b, v); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestMissingKeysAreAsInPythonCAN(t *testing.T) {
	got, err := parseMessage(message(t, keyData, []byte{1, 2}, keyLen, nil, "is_rx", true, keyChannel, "can0", keyID, 5))
	want := canbus.Frame{ID: 5, Flags: canbus.Extended, Len: 2, Data: [64]byte{1, 2}}
	if err != nil || got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

func TestBadMessages(t *testing.T) {
	for name, c := range map[string]struct {
		message []byte
		want    string
	}{
		"DLCIsNotTheLength":   {message(t, keyLen, 3, keyData, []byte{1}), "dlc 3, but 1 bytes"},
		"RemoteWithData":      {message(t, keyRemote, true, keyData, []byte{1}), "remote"},
		"ClassicTooLong":      {message(t, keyData, make([]byte, 9)), "9 bytes in classic CAN frame"},
		"FDTooLong":           {message(t, keyFD, true, keyData, make([]byte, 65)), "65 bytes"},
		"FDLengthWithoutADLC": {message(t, keyFD, true, keyData, make([]byte, 9)), "9 bytes in CAN FD frame"},
		"NegativeID":          {message(t, keyID, -1), keyID},
		"IDOf30Bits":          {message(t, keyID, 0x20000000), "29 bits"},
		"IDOf12Bits":          {message(t, keyID, 0x800, keyExtended, false), "11 bits"},
		"FlagThatIsANumber":   {message(t, keyFD, 1), keyFD},
		"KeyThatIsANumber":    {message(t, 1, 2), "str"},
		"NotAMap":             {msgp.AppendInt(nil, 1), "map"},
		"Empty":               {nil, "too few bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := parseMessage(c.message)
			if err == nil {
				t.Fatalf("parsed %v", f)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not tell %q", err, c.want)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	for _, good := range []string{
		group4, group6, group4 + "@500000", group4 + "@none", "239.1.2.3%lo:1", "[ff02::1%eth0]:65535@1",
	} {
		if _, err := parseAddress(good); err != nil {
			t.Error(err)
		}
	}
	for bad, want := range map[string]string{
		"":                     "GROUP:PORT",
		"239.74.163.2":         "GROUP:PORT",
		"ff15::1:43113":        "GROUP:PORT",
		"10.0.0.1:43113":       "multicast",
		"[fe80::1]:43113":      "multicast",
		"localhost:43113":      "multicast",
		"239.74.163.2:0":       "port",
		"239.74.163.2:65536":   "port",
		group4 + "@":           "bit rate",
		group4 + "@0":          "bit rate",
		group4 + "@-5":         "bit rate",
		group4 + "@fast":       "bit rate",
		group4 + "@4294967296": "bit rate",
	} {
		if _, err := parseAddress(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v does not tell %q", bad, err, want)
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	for _, c := range packed {
		b, _ := hex.DecodeString(c.hex)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, err := parseMessage(b)
		if err != nil {
			return
		}
		again, err := parseMessage(appendMessage(nil, &fr, time.Unix(1, 0)))
		if err != nil || again != fr {
			t.Errorf("%v became %v, %v", fr, again, err)
		}
	})
}
