package httpidempotency

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzKey: whatever a header holds, there is a key of 1 to 255 printable bytes, or an error; and the key in quotes is the same key.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"", `""`, "a", `"a"`, `"a\"b\\"`, `"a`, "a b", "ä", "\x00", `"a";q=1`, strings.Repeat("a", 256), "\ta "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := parseKey(s)
		if err != nil {
			require.Empty(t, key)
			return
		}
		require.NotEmpty(t, key)
		require.LessOrEqual(t, len(key), maxKey)
		for i := range len(key) {
			require.True(t, key[i] >= ' ' && key[i] < 0x7f, "byte %d of %q", i, key)
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
		again, err := parseKey(quoted)
		require.NoError(t, err)
		require.Equal(t, key, again)
	})
}

func FuzzResponse(f *testing.F) {
	f.Add(200, "Content-Type", "text/plain", "", []byte("body"))
	f.Add(599, "", "", "b", []byte{})
	f.Fuzz(func(t *testing.T, status int, name, a, b string, body []byte) {
		if status < 200 || status > 999 {
			return
		}
		want := Response{Status: status, Header: http.Header{name: {a, b}, "X": {}}, Body: body}
		data := want.marshal()
		var got Response
		require.NoError(t, got.unmarshal(data))
		require.Equal(t, want.Status, got.Status)
		require.Equal(t, want.Header, got.Header)
		require.Equal(t, string(want.Body), string(got.Body))
	})
}

func FuzzStoredResponse(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{200, 1, 1, 1, 'a', 1, 1, 'b', 'c'})
	f.Add([]byte{200, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Response
		if err := r.unmarshal(data); err != nil {
			require.Equal(t, Response{}, r)
		}
	})
}
