package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machine tells where it was measured, and what.
func machine() []string {
	out := []string{fmt.Sprintf("%s %s/%s, %d CPUs", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())}
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			out = append(out, strings.TrimSpace(value))
			break
		}
	}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		out = append(out, "kernel "+string(bytes.TrimSpace(kernel)))
	}
	if commit, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		out = append(out, "this library at commit "+string(bytes.TrimSpace(commit)))
	}
	return out
}

// A load is how busy the machine was at one moment.
type load struct {
	at        time.Time
	average   string        // over the last minute
	all, ours time.Duration // CPU time used so far
}

func newLoad() load {
	l := load{at: time.Now(), average: "unknown"}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		l.average, _, _ = strings.Cut(string(text), " ")
	}
	text, _ := os.ReadFile("/proc/stat")
	first, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(first) {
		// user, nice, system, idle, iowait, irq, softirq, steal: those that are not idle,
		// in hundredths of a second.
		if n, err := strconv.Atoi(field); err == nil && i <= 8 && i != 4 && i != 5 {
			l.all += time.Duration(n) * 10 * time.Millisecond
		}
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if syscall.Getrusage(who, &usage) == nil {
			l.ours += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		}
	}
	return l
}

// told tells how busy the machine has been since l, with other things than ours.
func (l load) told() []string {
	now := newLoad()
	took := now.at.Sub(l.at)
	out := []string{
		fmt.Sprintf("measured from %s, for %v", l.at.UTC().Format("2006-01-02 15:04 MST"), took.Round(time.Second)),
		fmt.Sprintf("load average %s before, %s after", l.average, now.average),
	}
	if now.all > 0 && took > 0 {
		others := max((now.all-l.all)-(now.ours-l.ours), 0)
		out = append(out, fmt.Sprintf("others used %.1f %% of the CPUs meanwhile", 100*float64(others)/float64(took)/float64(runtime.NumCPU())))
	}
	return out
}
