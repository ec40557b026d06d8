package canlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

var (
	errStrange = errors.New("no line of a log begins like that")
	errUTF16   = errors.New("it is UTF-16, and logs are UTF-8")
)

// detect finds the format of a log, by its first bytes or its first lines. It reads no more
// than it needs, and takes nothing out of b.
func detect(b *bufio.Reader) (Format, error) {
	magic, _ := b.Peek(4)
	switch {
	case string(magic) == blfMagic:
		return BLF, nil
	case string(magic) == "\n\r\r\n":
		return PCAPNG, nil
	case isPCAP(magic):
		return PCAP, nil
	}
	var strange error // of the first line that could be no comment
	for seen, line := 0, 1; ; line++ {
		text, err := peekLine(b, seen)
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return 0, fmt.Errorf("canlog: read: %w", noEOF(err))
		}
		format, lineErr := formatOf(text)
		if format != 0 {
			return format, nil
		}
		if strange == nil && lineErr != nil {
			strange = &UnknownFormatError{line, quote(text), lineErr}
		}
		seen += len(text)
		if err == nil {
			continue
		}
		if strange != nil {
			return 0, strange
		}
		return Candump, nil
	}
}

// peekLine returns the line that begins at an offset, without reading it. With an error it
// is what there is of it.
func peekLine(b *bufio.Reader, offset int) ([]byte, error) {
	for n := offset + 1; ; n = b.Buffered() + 1 {
		_, err := b.Peek(n)
		text, _ := b.Peek(b.Buffered())
		text = text[min(offset, len(text)):]
		if end := bytes.IndexByte(text, '\n'); end >= 0 {
			return text[:end+1], nil
		}
		if err != nil {
			return text, err
		}
	}
}

// formatOf returns the format of a log that has this line among its first, 0 if the line
// does not tell. The error says that it is no comment either.
func formatOf(line []byte) (Format, error) {
	text := bytes.TrimSpace(withoutColours(bytes.TrimPrefix(line, byteOrderMark)))
	switch {
	case len(text) == 0 || bytes.HasPrefix(text, dropCount):
		return 0, nil
	case text[0] == '(' || isScreen(text):
		return Candump, nil
	case isTRC(text):
		return TRC, nil
	case isASC(text):
		return ASC, nil
	case bytes.HasPrefix(text, []byte{0xFF, 0xFE}) || bytes.HasPrefix(text, []byte{0xFE, 0xFF}):
		return 0, errUTF16
	}
	r, size := utf8.DecodeRune(text)
	if r == utf8.RuneError && size == 1 || !unicode.IsPunct(r) && !unicode.IsSymbol(r) {
		return 0, errStrange
	}
	return 0, nil
}
