package traps

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// A Matrix is the result of all scenarios against all libraries.
type Matrix struct {
	Results map[string]map[string]Result // by ID of the scenario and name of the library
	// Remedies are the results with the option turned on that Library.Remedies
	// names, for the cells that failed without.
	Remedies map[string]map[string]Result
	Versions map[string]string // of the modules, by path
}

// Run runs every scenario against every library that has such a policy. The
// program that calls it must call [ServeCell] first: it is started again for each
// cell. When ctx ends, the cells that are left are hangs.
func Run(ctx context.Context) (*Matrix, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	m := &Matrix{
		Results:  map[string]map[string]Result{},
		Remedies: map[string]map[string]Result{},
		Versions: versions(),
	}
	// One more than there are processors, since a cell that hangs needs none.
	free := make(chan struct{}, runtime.GOMAXPROCS(0)+1)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards the maps of m
	for _, s := range Scenarios {
		for _, name := range columns(s) {
			free <- struct{}{}
			wg.Go(func() {
				defer func() { <-free }()
				c := cell{Scenario: s.ID, Library: name}
				r := c.start(ctx, program)
				if r.Verdict == Hang {
					// It may have been the machine. Ask once more.
					r = c.start(ctx, program)
				}
				var remedied *Result
				if l := library(name); r.Verdict.Failed() && l.Remedies[s.ID] != "" {
					c.Remedy = true
					result := c.start(ctx, program)
					remedied = &result
				}
				mu.Lock()
				defer mu.Unlock()
				put(m.Results, s.ID, name, r)
				if remedied != nil {
					put(m.Remedies, s.ID, name, *remedied)
				}
			})
		}
	}
	wg.Wait()
	return m, nil
}

func put(m map[string]map[string]Result, scenario, library string, r Result) {
	if m[scenario] == nil {
		m[scenario] = map[string]Result{}
	}
	m[scenario][library] = r
}

// columns are the names of the libraries that s is run against.
func columns(s Scenario) []string {
	var names []string
	for _, l := range Libraries {
		if l.has(s.Policy) {
			names = append(names, l.Name)
		}
	}
	if s.Broken != nil {
		names = append(names, Broken)
	}
	return names
}

// library returns the library of that name, or the zero value for [Broken].
func library(name string) Library {
	for _, l := range Libraries {
		if l.Name == name {
			return l
		}
	}
	return Library{Name: name}
}

// Failing returns the names of the rivals that fail a scenario, the one that is
// broken on purpose included.
func (m *Matrix) Failing(scenario string) []string {
	var names []string
	for name, r := range m.Results[scenario] {
		if name != Ours && r.Verdict.Failed() {
			names = append(names, name)
		}
	}
	return names
}

// versions returns the versions of all modules in this program, by path.
func versions() map[string]string {
	v := map[string]string{"std": strings.TrimPrefix(runtime.Version(), "go")}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, d := range info.Deps {
		v[d.Path] = d.Version
		if d.Replace != nil && strings.HasPrefix(d.Replace.Path, ".") {
			v[d.Path] = "this checkout"
		}
	}
	return v
}
