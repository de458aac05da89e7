# The tests of all modules, linted and run against real servers. `make help` lists the targets.

# Each module is built by its own go.mod, as a user gets it. The workspace is for work by hand.
export GOWORK := off

MODULES := $(patsubst %/go.mod,%,$(shell find . -name go.mod -not -path './tools/*' -not -path '*/testdata/*' -not -path './.*/*' | sort))
TESTALL := .tools/testall
GOLANGCI := go tool -modfile=$(CURDIR)/tools/go.mod golangci-lint
each = @bad=; for m in $(MODULES); do echo "$(1): $$m"; (cd $$m && $(2)) || bad=1; done; test -z "$$bad"

BENCH ?= .
BENCHTIME ?= 1s
COUNT ?= 1
FUZZ ?= .
FUZZTIME ?= 10s

.PHONY: help test lint format vet golangci tidy bench fuzz docs docs-check testall

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' Makefile

test: testall ## all tests with the race detector, against servers that are started here
	@$(TESTALL)

lint: format vet golangci tidy ## gofmt, go vet, golangci-lint and go mod tidy, for all modules

format:
	@echo "gofmt"; files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted by gofmt:"; echo "$$files"; exit 1; }

vet:
	$(call each,go vet,go vet ./...)

golangci:
	$(call each,golangci-lint,$(GOLANGCI) run --config $(CURDIR)/.golangci.yml ./...)

tidy:
	$(call each,go mod tidy -diff,go mod tidy -diff)
	@echo "go mod tidy -diff: ./tools"; cd tools && go mod tidy -diff

bench: testall ## benchmarks with allocations: BENCH=regexp BENCHTIME=1s COUNT=1
	@$(TESTALL) -bench '$(BENCH)' -benchtime '$(BENCHTIME)' -count '$(COUNT)'

fuzz: testall ## every fuzz target in turn: FUZZ=regexp FUZZTIME=10s
	@$(TESTALL) -fuzz '$(FUZZ)' -fuzztime '$(FUZZTIME)'

# The server of `go doc -http` is a module that go fetches on first use. What go says when it
# cannot is folded into one line.
docs: ## serve the documentation in a browser
	@go doc -http 2>&1 | { failed=; while IFS= read -r line; do case "$$line" in \
		'go: downloading '*) ;; \
		'go: '*|'	'*) failed=1 ;; \
		*) printf '%s\n' "$$line" ;; \
	esac; done; \
	test -z "$$failed" || { echo "docs: the server of 'go doc -http' cannot be fetched here; read a package with: go doc -all ./lock"; exit 1; }; }

docs-check: ## each package of the root module has a comment and renders
	@all=$$(go list ./...) && bare=$$(go list -f '{{if not .Doc}}{{.ImportPath}}{{end}}' ./...) || exit 1; bad=; \
	for p in $$bare; do echo "docs-check: $$p has no package comment"; bad=1; done; \
	for p in $$all; do test -n "$$(go doc -all $$p)" || { echo "docs-check: go doc -all $$p fails"; bad=1; }; done; \
	test -z "$$bad"

testall:
	@go -C internal/testbed build -o $(CURDIR)/$(TESTALL) ./cmd/testall
