# Thin: every target is a command that also works by hand.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 30s

.PHONY: build test race lint bench fuzz ci

build:
	CGO_ENABLED=0 go build -trimpath -tags nomsgpack \
		-ldflags "-s -w -X main.version=$(VERSION)" -o bin/relay ./cmd/relay

test:
	go test ./...

race:
	go test -race ./...

# The sections of .ci/run that read the code and run none of it.
lint:
	bash .ci/run lint

bench:
	go test -run '^$$' -bench . -benchmem ./...

# Every fuzz target of the tree, one after the other, each for FUZZTIME.
fuzz:
	@grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | \
	sed -E 's|/[^/]*:func | |' | sort | \
	while read -r folder target; do \
		echo "== $$folder $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$folder || exit 1; \
	done

# Everything that a change must pass.
ci:
	bash .ci/run
