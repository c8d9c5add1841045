package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// reportVersion is that of the files that JSON writes. It is raised when what they say
// changes its meaning, not when something is added.
const reportVersion = 1

type reportFile struct {
	Version int `json:"version"`
	Report
}

// JSON returns r for machines, and for [Report.Compare] with a later one: indented, the
// fields in the order of the types, after the version of the format, which is 1.
// Durations are in nanoseconds, shares from 0 to 1. Equal reports have equal bytes.
//
// The error is that of a number that JSON does not know, which no run makes: NaN or an
// infinity.
func (r Report) JSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(reportFile{reportVersion, r}); err != nil {
		return nil, fmt.Errorf("lab: Report.JSON: %w", err)
	}
	return b.Bytes(), nil
}

// ReadJSON returns the report that [Report.JSON] wrote. It shows all that the report
// showed, but cannot be pooled (see [Pool]). Fields that are not known are left out.
//
// The error says that data is no report, is cut off, or is of another version of the format.
func ReadJSON(data []byte) (Report, error) {
	fail := func(err error) (Report, error) { return Report{}, fmt.Errorf("lab: ReadJSON: %w", err) }
	var version struct {
		Version *int `json:"version"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	switch err := d.Decode(&version); {
	case errors.Is(err, io.EOF):
		return fail(errors.New("there is nothing to read"))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fail(errors.New("the report is cut off"))
	case err != nil:
		return fail(fmt.Errorf("this is no report: %w", misfit(err)))
	case version.Version == nil:
		return fail(errors.New("this is no report: it has no version"))
	case *version.Version != reportVersion:
		return fail(fmt.Errorf("the report is of version %d, and only %d is known", *version.Version, reportVersion))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fail(errors.New("something follows the report"))
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return fail(misfit(err))
	}
	return r, nil
}

// misfit says in plain words that a value is not what it should be. Other errors it
// returns as they are.
func misfit(err error) error {
	var e *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &e):
		return err
	case e.Field == "":
		return fmt.Errorf("it is of the JSON type %s", e.Value)
	}
	return fmt.Errorf("the field %s cannot be %s", e.Field, e.Value)
}

// WriteFiles writes r into the folder dir, which it makes if need be, in all its
// forms: NAME.txt, .json, .svg and .html, where NAME is r.Name in lower case with dashes in
// place of all but letters and digits. Files that are there are replaced.
//
// The error is that of the file that could not be written; those before it have been.
func (r Report) WriteFiles(dir string) error {
	data, err := r.JSON()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("lab: Report.WriteFiles: %w", err)
	}
	for _, f := range []struct {
		ext  string
		data []byte
	}{{".txt", []byte(r.Text())}, {".json", data}, {".svg", r.SVG()}, {".html", r.HTML()}} {
		if err := os.WriteFile(filepath.Join(dir, slug(r.Name)+f.ext), f.data, 0o644); err != nil {
			return fmt.Errorf("lab: Report.WriteFiles: %w", err)
		}
	}
	return nil
}
