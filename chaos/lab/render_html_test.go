package lab_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/steady-go/steady/chaos/lab"
)

// mayHave are the elements of a page. There is none that runs or loads anything.
var mayHave = strings.Fields("html head meta title style body main header p h1 h2 ul li div figure section table tbody tr th td br dl dt dd code footer svg rect path text")

// pageText checks a page, and returns all that is written in it.
func pageText(t require.TestingT, page []byte) string {
	require.True(t, bytes.HasPrefix(page, []byte("<!doctype html>\n<html lang=\"en\">")))
	require.Equal(t, 1, bytes.Count(page, []byte("http://")), "the namespace of the picture is all that is named from elsewhere")
	require.NotContains(t, string(page), "https://")
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var text strings.Builder
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return text.String()
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			require.Contains(t, mayHave, token.Name.Local)
			for _, a := range token.Attr {
				require.Contains(t, []string{"lang", "charset", "name", "content", "class", "title", "xmlns", "role", "viewBox", "width", "height", "x", "y", "rx", "d", "text-anchor"}, a.Name.Local)
			}
		case xml.CharData:
			text.Write(token)
		}
	}
}

func TestHTMLIsOnePageThatRunsAndLoadsNothing(t *testing.T) {
	for name, r := range fakeReports() {
		if name != "hostile" {
			pageText(t, r.HTML())
		}
	}
	pageText(t, lab.Report{Control: &lab.Arm{}}.HTML())
}

func TestHTMLShowsHostileNamesAsText(t *testing.T) {
	text := pageText(t, hostileReport().HTML())
	for _, want := range []string{
		`<script>alert("x")</script>&amp;]]> 故障注入 'q' \x1b[31mred\x00\u202egnp`, `</title></style><img src=x onerror=alert(1)> {{.Name}} one; two three`,
		"<i>too few</i>", `<a href="javascript:x">`, "</text></svg><script>1</script>", `<p>; boom; bang\x1b[2J`, "<u>2</u>", "<b>20/s</b>",
	} {
		require.Contains(t, text, want)
	}
	rapid.Check(t, func(t *rapid.T) { pageText(t, anyReport(t).HTML()) })
}

func TestHTMLSaysWhatAPersonAsksFor(t *testing.T) {
	text := pageText(t, metReport().HTML())
	for _, want := range []string{
		"two of ten nodes hang: met", "✓ MET", "99.9 % of the requests are answered at 200 requests a second", "nearly missed: fault: p99 ≤ 320ms: it was 318ms",
		"99.949 %", "control: 79.4 %", "~ nearly missed", "✗ deviated", "kill the process of node 0", "11,860 × node 1 hangs",
		"18,255 × timeout: limit of 250ms exceeded", "seed 7, with an availability of 99.917 %", "go test -run '^YourTest$' -lab.seed=7 -cpu 1",
	} {
		require.Contains(t, text, want)
	}
}
