package lab_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/steady-go/steady/chaos/lab"
)

func TestJSONReadsBackAsItWas(t *testing.T) {
	for name, r := range fakeReports() {
		data, err := r.JSON()
		require.NoError(t, err)
		back, err := lab.ReadJSON(data)
		require.NoError(t, err)
		if name != "hostile" { // its bytes that are no UTF-8 become U+FFFD
			require.Equal(t, r, back)
			again, err := back.JSON()
			require.NoError(t, err)
			require.Equal(t, string(data), string(again))
		}
		require.Equal(t, r.Text(), back.Text(), "it shows the same")
	}
}

func TestJSONIsIndentedAndHasAVersion(t *testing.T) {
	data, err := metReport().JSON()
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(data), "{\n  \"version\": 1,\n  \"name\": \"two of ten nodes hang\",\n"))
	require.Contains(t, string(data), `"fault": 30000000000,`, "nanoseconds")
	require.Contains(t, string(data), `"bound": "≥ 99.9 %"`)
	data, err = hostileReport().JSON()
	require.NoError(t, err)
	require.Contains(t, string(data), `"load": "<b>20/s</b>"`, "readable")
}

func TestReadJSONSaysWhatIsWrong(t *testing.T) {
	for data, want := range map[string]string{
		"":                              "lab: ReadJSON: there is nothing to read",
		"hello":                         "lab: ReadJSON: this is no report: invalid character 'h' looking for beginning of value",
		"[1]":                           "lab: ReadJSON: this is no report: it is of the JSON type array",
		`{"name":"x"}`:                  "lab: ReadJSON: this is no report: it has no version",
		`{"version":2,"name":[]}`:       "lab: ReadJSON: the report is of version 2, and only 1 is known",
		`{"version":1,"name":"x"`:       "lab: ReadJSON: the report is cut off",
		`{"version":1} {"version":1}`:   "lab: ReadJSON: something follows the report",
		`{"version":1,"name":7}`:        "lab: ReadJSON: the field name cannot be number",
		`{"version":1,"seeds":[-1]}`:    "lab: ReadJSON: the field seeds cannot be number -1",
		`{"version":1,"system":"none"}`: "lab: ReadJSON: the field system cannot be string",
	} {
		r, err := lab.ReadJSON([]byte(data))
		require.EqualError(t, err, want, data)
		require.Zero(t, r)
	}
}

func TestReadJSONOfAnyBytesDoesNotPanic(t *testing.T) {
	data, err := deviatedReport().JSON()
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		broken := append([]byte(nil), data...)
		broken[rapid.IntRange(0, len(data)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		if r, err := lab.ReadJSON(broken); err == nil {
			_ = r.Text()
		}
		_, err := lab.ReadJSON(data[:rapid.IntRange(0, len(data)-3).Draw(t, "cut")])
		require.Error(t, err)
	})
}

func TestJSONRefusesWhatItCannotSay(t *testing.T) {
	r := metReport()
	r.System.Checks[0].Number = math.NaN()
	_, err := r.JSON()
	require.ErrorContains(t, err, "lab: Report.JSON: ")
	dir := t.TempDir()
	require.Error(t, r.WriteFiles(dir))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, files, "nothing is written by halves")
}

func TestWriteFilesWritesAllForms(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	r := metReport()
	require.NoError(t, r.WriteFiles(dir))
	require.NoError(t, r.WriteFiles(dir), "files that are there are replaced")
	json, err := r.JSON()
	require.NoError(t, err)
	for ext, want := range map[string]string{"txt": r.Text(), "json": string(json), "svg": string(r.SVG()), "html": string(r.HTML())} {
		got, err := os.ReadFile(filepath.Join(dir, "two-of-ten-nodes-hang."+ext))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}

func TestWriteFilesStaysInItsFolder(t *testing.T) {
	dir := t.TempDir()
	inner := filepath.Join(dir, "inner")
	r := lab.Report{Name: "../../up"}
	require.NoError(t, r.WriteFiles(inner))
	require.FileExists(t, filepath.Join(inner, "up.html"))
}

func TestWriteFilesNamesTheFileThatItCannotWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	require.ErrorContains(t, metReport().WriteFiles(file), "lab: Report.WriteFiles: mkdir "+file)
}
