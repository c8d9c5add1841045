# Each target walks every go.mod by itself, with the workspace off, so that a
# requirement that is missing in one module cannot hide behind another.
#
#   make test    all tests, under the race detector where there is a C compiler
#   make deps    what tests use besides Go, from Debian's packages; make test does it first
#   make lint    gofmt, go vet, go mod tidy, staticcheck
#   make lab     the experiments that must hold, with 500 seeds; takes many minutes
#   make bench   what each policy costs, as ratios to a floor measured in the same run
#   make compare this library beside others, written to bench/RESULTS.md; takes minutes

MODULES := $(patsubst %/go.mod,%,$(shell find . -name go.mod -not -path './tools/*' | sort))
RACE    := $(if $(shell command -v $(firstword $(shell go env CC))),-race)

# The packages with tests that want speed: experiments with many seeds, and a run that a real
# Prometheus and a real browser watch.
EXPERIMENTS = ./chaos/lab/internal/fleet
WATCHED     = ./cache ./gameday ./steadystate

# The staticcheck that tools/go.mod pins. It is built once and kept in Go's cache.
STATICCHECK = go tool -modfile=$(CURDIR)/tools/go.mod staticcheck

# All checks, but for: ST1000 (a test package needs no package comment of its own).
CHECKS := all,-ST1000

export GOWORK := off

.PHONY: test deps lint lab bench compare
test: deps
	@set -e; skipped=" $$(tools/deps.sh skipped) "; for m in $(MODULES); do \
		case "$$skipped" in *" $$m "*) echo "== SKIPPED: the tests of $$m, see above"; continue;; esac; \
		echo "== go test $(RACE) in $$m"; (cd $$m && go test $(RACE) ./...); done
ifneq ($(RACE),)
	@echo "== go test of what has fewer seeds under the race detector, or none"
	go test $(EXPERIMENTS)
	cd examples && go test $(WATCHED)
endif

deps:
	@tools/deps.sh

lint:
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "not gofmt-ed:"; echo "$$out"; exit 1; fi
	@set -e; for m in $(MODULES); do echo "== lint $$m"; \
		(cd $$m && go mod tidy -diff && go vet ./... && $(STATICCHECK) -checks $(CHECKS) ./...); done

# Runs each experiment of chaos/lab/internal/fleet with many seeds and prints the table.
lab:
	cd chaos/lab/internal/fleet && go test -lab.seeds 500 -fleet.long -timeout 0

bench:
	@set -e; for m in $(filter-out ./bench,$(MODULES)); do echo "== go test -bench in $$m"; (cd $$m && go test -run '^$$' -bench . -benchmem ./...); done
	cd bench && go run ./cost

# The benchmarks of bench/ are those of many libraries: only compare runs them.
compare:
	cd bench && go run ./compare
