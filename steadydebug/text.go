package steadydebug

import (
	"strings"
	"unicode/utf8"
)

// maxText is how many bytes are kept of a string from elsewhere.
const maxText = 256

// clip returns what is kept and shown of s: its beginning, with what is no UTF-8 replaced, so
// that JSON and HTML say the same, and so that what is shown alike is counted together. It
// may share the memory of s.
func clip(s string) string {
	s = begin(s)
	if utf8.ValidString(s) {
		return s
	}
	return begin(strings.ToValidUTF8(s, "\uFFFD"))
}

// begin returns the first bytes of s, up to the end of a character.
func begin(s string) string {
	if len(s) <= maxText {
		return s
	}
	end := maxText
	for end > maxText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
