# Everything is one command; `make help` lists them. Set-up happens on the first run
# and is remembered by stamp files: a second run goes straight to work.
#   make train ARGS="--seed 1 --steps 100000"    more arguments for stein train
#   make PYTHON=/path/to/python3.13 train        another Python for .venv

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := bin/stein
ARGS ?=

export GOMLX_NO_AUTO_INSTALL := 1
# In a checkout that git refuses to look at, `go build` would stop for want of a revision.
BUILDVCS := $(shell git status >/dev/null 2>&1 && echo auto || echo false)

PACKAGES ?= ./...
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# How long make soak breaks things for, and how many faults make chaos draws.
DURATION ?= 30m
ROUNDS ?= 100
SEED ?= 0

.PHONY: benchmark fuzz audit help train test quick build release data bench chaos soak lint fmt proto doctor clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A few minutes on two cores: the random steps are cut short so that learning shows.
train: build $(VENV)/.stein-run ## learn to walk for a few minutes, evaluate, draw the curve
	@$(BIN) train --config walker2d/quick --seed 0 $(ARGS)

test: build .build/system-test $(VENV)/.stein-dev ## vet, Go tests with the race detector, Python tests, lint
	go vet ./...
	scripts/test.sh $(PACKAGES)
	cd python_env && ../$(VENV)/bin/python -m pytest
	$(MAKE) --no-print-directory lint

quick: .build/system $(VENV)/.stein-dev ## what one runs while editing: the quick Go tests (PACKAGES=./sampler)
	go test -short -timeout 5m $(PACKAGES)

build: .build/system ## compile bin/stein
	@go build -buildvcs=$(BUILDVCS) -o $(BIN) ./cmd/stein

release: .build/system ## build the archive that people download, into dist/
	@scripts/release.sh

bench: build $(VENV)/.stein-run ## measure beside Stable-Baselines3, SBX, svgd and JAX (installs them)
	bench/run.sh $(ARGS)

chaos: build $(VENV)/.stein-dev ## break a training at random, ROUNDS times (SEED repeats one)
	go test ./internal/chaos -count 1 -seed $(SEED) -rounds $(ROUNDS) -timeout 0 -v

soak: build $(VENV)/.stein-dev ## train, serve and break for DURATION; figures to docs/results
	go test ./internal/chaos -count 1 -run '^TestSoak$$' -soak $(DURATION) -soak-out ../../docs/results -seed $(SEED) -timeout 0 -v

fuzz: ## feed every parser of outside bytes odd bytes: FUZZTIME=5s each, ARGS= which
	@scripts/fuzz.sh $(ARGS)

benchmark: build ## docs/results/benchmark.md from the records in docs/results/runs
	@scripts/benchmark.sh

audit: ## known weaknesses in modules and packages, where their databases can be reached
	@scripts/audit.sh

lint: $(VENV)/.stein-dev ## gofmt, staticcheck, ruff, mypy
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):" $$unformatted; exit 1; fi
	go run $(STATICCHECK) ./...
	cd python_env && ../$(VENV)/bin/ruff check . && ../$(VENV)/bin/mypy .

fmt: $(VENV)/.stein-dev ## format Go and Python
	gofmt -w $$(git ls-files '*.go')
	cd python_env && ../$(VENV)/bin/ruff format . && ../$(VENV)/bin/ruff check --fix .

proto: $(VENV)/.stein-dev ## regenerate code from proto/
	proto/generate.sh

data: ## install Fashion-MNIST, for the image models (Debian, Ubuntu)
	@scripts/system-packages.sh data

doctor: build ## say what this machine has and lacks
	@$(BIN) doctor

clean: ## remove what make made (runs/ stays)
	rm -rf bin dist .build $(VENV) bench/.venv

.build/system: scripts/system-packages.sh go.mod
	@PYTHON=$(PYTHON) scripts/system-packages.sh
	@go mod download
	@mkdir -p .build && touch $@

.build/system-test: scripts/system-packages.sh | .build/system
	@scripts/system-packages.sh test
	@touch $@

# What a user of the program alone gets by the same command.
$(VENV)/.stein-run: requirements.txt | build
	@$(BIN) setup --dir $(VENV) --python $(PYTHON)
	@touch $@

$(VENV)/.stein-dev: requirements-cluster.txt requirements-dev.txt $(VENV)/.stein-run
	@echo "stein: installing the test tools into $(VENV)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
