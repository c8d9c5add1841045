package httpidempotency

import (
	"errors"
	"net/http"
	"strings"
)

// The length of a key in bytes.
const maxKey = 255

// keyOf returns the key of a request that has these headers.
func keyOf(values []string) (string, *problem) {
	switch len(values) {
	case 0:
		return "", &problem{status: http.StatusBadRequest, code: "key-missing", detail: "this request needs an " + keyHeader + " header"}
	case 1:
	default:
		return "", malformed("there are several " + keyHeader + " headers")
	}
	key, err := parseKey(values[0])
	if err != nil {
		return "", malformed(err.Error())
	}
	return key, nil
}

func malformed(detail string) *problem {
	return &problem{status: http.StatusBadRequest, code: "key-malformed", detail: detail}
}

var (
	errEmpty      = errors.New("the key is empty")
	errLong       = errors.New("the key has more than 255 bytes")
	errCharacters = errors.New("the key has characters that are not allowed: it is a string in quotes, or of visible ASCII without spaces, commas, quotes and semicolons")
)

// parseKey reads a key: a string in quotes as in RFC 8941, section 3.3.3, which is what the draft asks for, or without quotes, as many clients send it. Both forms
// of the same key are the same key.
func parseKey(s string) (string, error) {
	s = strings.Trim(s, " \t")
	key := s
	if strings.HasPrefix(s, `"`) {
		var err error
		if key, err = unquote(s[1:]); err != nil {
			return "", err
		}
	} else if strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`",;\`, c) }) {
		return "", errCharacters
	}
	switch {
	case key == "":
		return "", errEmpty
	case len(key) > maxKey:
		return "", errLong
	}
	return key, nil
}

// unquote reads a string to the quote that must end it.
func unquote(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			if i != len(s)-1 {
				return "", errCharacters
			}
			return b.String(), nil
		case c == '\\':
			i++
			if i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", errCharacters
			}
			b.WriteByte(s[i])
		case c < ' ' || c >= 0x7f:
			return "", errCharacters
		default:
			b.WriteByte(c)
		}
	}
	return "", errCharacters
}
