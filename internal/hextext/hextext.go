// Package hextext reads bytes in hexadecimal digits as people write and paste them.
package hextext

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// separators may stand between bytes, and around them, beside white space.
const separators = ",.:;-[]{}"

// Parse returns the bytes of a text such as
//
//	22F190
//	22 F1 90    # what stands behind a # is a comment
//	0x22, 0xF1, 0x90
//	22:F1:90
//	22.F1.90
//	22-F1-90
//	{0x22, 0xF1, 0x90};
//	\x22\xF1\x90
//
// Two digits, in upper or lower case, are a byte; white space, commas, dots, colons,
// semicolons, minuses, brackets and braces separate bytes or groups of bytes, and each group
// may begin with 0x or \x. A text without digits has no bytes, which is no error. The text is
// one line: a comment ends with it.
func Parse(text string) ([]byte, error) {
	text, _, _ = strings.Cut(text, "#")
	text = strings.ReplaceAll(text, `\x`, " 0x")
	var p []byte
	for _, group := range strings.FieldsFunc(text, isSeparator) {
		digits := group
		if len(group) > 1 && (group[:2] == "0x" || group[:2] == "0X") {
			digits = group[2:]
		}
		b, err := hex.DecodeString(digits)
		if err != nil || len(b) == 0 {
			return nil, fmt.Errorf("%q is not bytes of two hexadecimal digits each, such as 22 F1 90", group)
		}
		p = append(p, b...)
	}
	return p, nil
}

func isSeparator(r rune) bool {
	return strings.ContainsRune(separators, r) || strings.ContainsRune(" \t\r\n\v\f", r)
}
