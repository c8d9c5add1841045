package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

const steadyModule = "github.com/steady-go/steady"

// A size is what a program has more than hello world.
type size struct {
	Program string
	Bytes   int64 // of the stripped binary
	Graph   int   // modules that the build has to look at
	Linked  int   // modules whose packages are in the binary
}

// sizes builds the programs in the folder size, each as a module of its own that
// requires nothing but what it imports, at the versions of this module.
func sizes(dir string) ([]size, error) {
	hello, err := build(dir, "hello")
	if err != nil {
		return nil, err
	}
	folders, err := os.ReadDir("size")
	if err != nil {
		return nil, err
	}
	var all []size
	for _, f := range folders {
		if f.Name() == hello.Program {
			continue
		}
		fmt.Fprintf(os.Stderr, "size of %s\n", f.Name())
		s, err := build(dir, f.Name())
		if err != nil {
			return nil, err
		}
		s.Bytes -= hello.Bytes
		s.Graph -= hello.Graph
		s.Linked -= hello.Linked
		all = append(all, s)
	}
	return all, nil
}

func build(dir, program string) (size, error) {
	source, err := os.ReadFile(filepath.Join("size", program, "main.go"))
	if err != nil {
		return size{}, err
	}
	goMod, err := goMod(source)
	if err != nil {
		return size{}, err
	}
	goSum, err := os.ReadFile("go.sum")
	if err != nil {
		return size{}, err
	}
	dir = filepath.Join(dir, program)
	if err := os.Mkdir(dir, 0o777); err != nil {
		return size{}, err
	}
	for name, content := range map[string][]byte{"main.go": source, "go.mod": goMod, "go.sum": goSum} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o666); err != nil {
			return size{}, err
		}
	}
	if _, err := goIn(dir, "build", "-mod=mod", "-trimpath", "-ldflags=-s -w", "-o", "program", "."); err != nil {
		return size{}, err
	}
	list, err := goIn(dir, "list", "-mod=mod", "-m", "all")
	if err != nil {
		return size{}, err
	}
	binary := filepath.Join(dir, "program")
	stat, err := os.Stat(binary)
	if err != nil {
		return size{}, err
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return size{}, err
	}
	return size{program, stat.Size(), bytes.Count(list, []byte("\n")), len(info.Deps)}, nil
}

func goIn(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("compare: go %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out, nil
}

// goMod returns a go.mod that requires what source imports.
func goMod(source []byte) ([]byte, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "main.go", source, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	root, err := filepath.Abs("..")
	if err != nil {
		return nil, err
	}
	deps := dependencies()
	required := map[string]string{}
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		for module, version := range deps {
			if path == module || strings.HasPrefix(path, module+"/") {
				required[module] = version
			}
		}
	}
	out := []byte("module hello\n\ngo 1.26\n")
	for module, version := range required {
		out = fmt.Appendf(out, "\nrequire %s %s\n", module, version)
	}
	if required[steadyModule] != "" {
		out = fmt.Appendf(out, "\nreplace %s => %s\n", steadyModule, strconv.Quote(root))
	}
	return out, nil
}

// dependencies returns the modules that this program is built with, which are those
// that it compares.
func dependencies() map[string]string {
	out := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			out[m.Path] = m.Version
			if m.Path == steadyModule {
				out[m.Path] = "v0.0.0" // is replaced
			}
		}
	}
	return out
}

// modules returns the dependencies as text.
func modules() []string {
	var out []string
	for module, version := range dependencies() {
		if module != steadyModule {
			out = append(out, module+" "+version)
		}
	}
	slices.Sort(out)
	return out
}
