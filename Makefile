# Thin: every target is a command that also works by hand.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 30s

BENCHSTAT := v0.0.0-20260908200009-22c9c6c9d4da

.PHONY: build dist packages-test test race lint bench bench-growth bench-steady bench-compare fuzz chaos chaos-full ci

build:
	CGO_ENABLED=0 go build -trimpath -tags nomsgpack \
		-ldflags "-s -w -X main.version=$(VERSION)" -o bin/relay ./cmd/relay

# Packages, archives, checksums and SBOM of this commit, in dist/.
dist:
	VERSION=$(VERSION) bash deploy/dist.sh dist

# The packages of this commit, built twice, installed and used in a Debian of their own.
packages-test:
	bash deploy/test/packages.sh

test:
	go test ./...

race:
	go test -race ./...

# The sections of .ci/run that read the code and run none of it.
lint:
	bash .ci/run lint

# The relay beside a pass-through and naive relays, all measured in one run; a
# good half hour. growth tells what an event costs with more of everything.
bench:
	go run ./test/load bench -write docs/PERFORMANCE.md

bench-growth:
	go run ./test/load growth -write docs/PERFORMANCE.md

# Ten minutes at saturation, each minute's figures.
bench-steady:
	go run ./test/load steady -write docs/PERFORMANCE.md

# The hot function of each folder, now and in the last release.
bench-compare:
	@release=$$(git describe --tags --abbrev=0 2>/dev/null) || { echo "there is no release to compare with" >&2; exit 1; }; \
	work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && mkdir "$$work/old" && \
	git archive "$$release" | tar -x -C "$$work/old" && \
	(cd "$$work/old" && go test -run '^$$' -bench . -benchmem -count 6 ./...) >"$$work/$$release" && \
	go test -run '^$$' -bench . -benchmem -count 6 ./... >"$$work/now" && \
	cd "$$work" && go run golang.org/x/perf/cmd/benchstat@$(BENCHSTAT) "$$release" now

# Every fuzz target of the tree, one after the other, each for FUZZTIME.
fuzz:
	@grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | \
	sed -E 's|/[^/]*:func | |' | sort | \
	while read -r folder target; do \
		echo "== $$folder $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$folder || exit 1; \
	done

# Breaks a real relay in every way that there is a scenario for, compares what
# was accepted with what arrived, and writes docs/RELIABILITY.md. ARGS takes
# flags of test/chaos: ARGS="-only power-cut -seed 7".
chaos:
	go run ./test/chaos $(ARGS)

# The full counts take hours. Power cuts and full disks need root.
chaos-full:
	go run ./test/chaos -full $(ARGS)

# Everything that a change must pass.
ci:
	bash .ci/run
