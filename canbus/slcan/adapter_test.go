package slcan

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"

	"example.com/isotp/canbus"
)

// An adapter is the other end of the line, on a bus.
type adapter struct {
	line       io.ReadWriteCloser
	bus        canbus.Bus
	mute       bool   // answers nothing
	timestamps bool   // after each frame
	refuse     string // a command
	status     byte   // what F answers

	mu       sync.Mutex
	open     bool
	commands []string
	done     sync.WaitGroup
}

func (a *adapter) start() {
	a.done.Go(a.obey)
	a.done.Go(a.forward)
}

// stop ends it all.
func (a *adapter) stop() {
	a.line.Close()
	a.bus.Close()
	a.done.Wait()
}

// obey executes commands until the line ends. They are parsed here by other means
// than the package's.
func (a *adapter) obey() {
	buf := make([]byte, 1000)
	var text []byte
	for {
		n, err := a.line.Read(buf)
		text = append(text, buf[:n]...)
		for {
			command, rest, found := bytes.Cut(text, []byte{'\r'})
			if !found {
				break
			}
			text = rest
			a.execute(string(command))
		}
		if err != nil {
			return
		}
	}
}

func (a *adapter) execute(command string) {
	answer := "\r"
	a.mu.Lock()
	if command != "" {
		a.commands = append(a.commands, command)
	}
	switch {
	case command == "":
	case a.refuse != "" && command == a.refuse:
		answer = "\a"
	case command == "O", command == "C":
		a.open = command == "O"
	case command == "F":
		answer = fmt.Sprintf("F%02X\r", a.status)
	case bytes.ContainsRune([]byte("tTrRdDbB"), rune(command[0])):
		answer = "z\r"
		f, ok := scan(command)
		if !ok {
			answer = "\a"
			break
		}
		a.mu.Unlock()
		a.bus.WriteFrames([]canbus.Frame{f})
		a.mu.Lock()
	}
	a.mu.Unlock()
	if !a.mute {
		a.say(answer)
	}
}

func (a *adapter) say(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	io.WriteString(a.line, text)
}

func (a *adapter) did(command string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.commands, command)
}

func (a *adapter) forward() {
	buf := make([]canbus.Frame, 10)
	for {
		n, err := a.bus.ReadFrames(buf)
		for i := range buf[:n] {
			text := appendFrame(nil, &buf[i])
			if a.timestamps {
				text = fmt.Appendf(text[:len(text)-1], "%04x\r", 59999)
			}
			a.say(string(text))
		}
		if err != nil {
			return
		}
	}
}

func scan(s string) (f canbus.Frame, ok bool) {
	kind, format := s[0], "%8X"
	if kind >= 'a' {
		format, kind = "%3X", kind-'a'+'A'
	} else {
		f.Flags = canbus.Extended
	}
	var dlc int
	var data []byte
	n, _ := fmt.Sscanf(s[1:], format+"%1X%X", &f.ID, &dlc, &data)
	f.Len = []uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64}[dlc&15]
	f.Flags |= map[byte]canbus.Flags{'T': 0, 'R': canbus.Remote, 'D': canbus.FD, 'B': canbus.FD | canbus.BRS}[kind]
	copy(f.Data[:], data)
	return f, n >= 2 && (kind == 'R' || len(data) == int(f.Len))
}
