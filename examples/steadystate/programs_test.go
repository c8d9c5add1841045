package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program returns the path of a program that the tests use.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	require.NoError(t, err, "%s is missing: run `make deps`, which installs it", name)
	return path
}

// eventually waits until is holds: what is waited for is another process.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); {
		require.True(t, time.Now().Before(end), "waited in vain for %s", what)
		time.Sleep(20 * time.Millisecond)
	}
}

// get returns the body of a page, or "" if there is no such answer.
func get(address string) string {
	resp, err := http.Get(address)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// A text is output that can be read while it is written.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

// A watched run is this program under way, with -listen.
type watched struct {
	url            string
	stdout, stderr text
	code           chan int
}

// start starts the program.
func start(t *testing.T, args ...string) *watched {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{code: make(chan int, 1)}
	args = append([]string{"-listen", "127.0.0.1:0", "-svg", ""}, args...)
	go func() { w.code <- run(ctx, args, &w.stdout, &w.stderr) }()
	t.Cleanup(func() {
		cancel()
		<-w.code
	})
	line := regexp.MustCompile(`Metrics: (http://\S+)/metrics`)
	eventually(t, "the address", func() bool { return line.MatchString(w.stdout.String()) })
	w.url = line.FindStringSubmatch(w.stdout.String())[1]
	return w
}

// A server is a Prometheus of the test's own.
type server struct{ url string }

// startPrometheus starts one that scrapes a target four times a second, with rules.
func startPrometheus(t *testing.T, target string, rules []byte) server {
	t.Helper()
	path := program(t, "prometheus")
	dir := t.TempDir()
	config := fmt.Sprintf(`
global: {scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms}
rule_files: [rules.yml]
scrape_configs:
  - job_name: steadystate
    static_configs: [{targets: [%q]}]
`, strings.TrimPrefix(target, "http://"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yml"), rules, 0o644))

	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())
	var log text
	cmd := exec.Command(path, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=warn")
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus said:\n%s", &log)
		}
	})
	s := server{"http://" + address}
	eventually(t, "prometheus", func() bool { return get(s.url+"/-/ready") != "" })
	return s
}

// ask makes a request to the API and reads its answer.
func (s server) ask(t *testing.T, path string, query url.Values, data any) {
	t.Helper()
	resp, err := http.Get(s.url + "/api/v1/" + path + "?" + query.Encode())
	require.NoError(t, err)
	defer resp.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.Equal(t, "success", answer.Status, answer.Error)
}

// A line is a time series in an answer.
type line struct {
	Metric map[string]string
	Values [][2]any // times in Unix seconds, and values as strings
}

// over returns the values of an expression, five times a second.
func (s server) over(t *testing.T, expr string, from, to time.Time) []line {
	t.Helper()
	var data struct{ Result []line }
	s.ask(t, "query_range", url.Values{
		"query": {expr}, "step": {"0.2"},
		"start": {stamp(from)}, "end": {stamp(to)},
	}, &data)
	return data.Result
}

func stamp(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMicro())/1e6, 'f', 6, 64) }

// at returns when a value was taken.
func at(value [2]any) time.Time { return time.UnixMicro(int64(value[0].(float64) * 1e6)) }
