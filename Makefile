# Two commands matter: `make run` (the demo, on 127.0.0.1) and `make test` (everything CI asks).
# Both set up what they need on a bare Debian or Ubuntu with Python 3.11+ and make.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

STATE         ?= var
OUTBOUND_PORT ?= 2525
INBOUND_PORT  ?= 2526
WEB_PORT      ?= 8025
STATUS_PORT   ?= 8026

# Tests start the program hundreds of times; each start would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

# Parallel processes of a test run.
WORKERS ?= 4

VENV    := .venv
RUNTIME := $(VENV)/.runtime-installed
DEV     := $(VENV)/.dev-installed
SETUP   := deploy/development/venv.sh

# A virtual environment knows its absolute path and its interpreter: moved or outlived, it is remade.
ifneq ($(shell cat $(VENV)/.checkout 2>/dev/null && $(VENV)/bin/python -c "" 2>&1),$(CURDIR))
STALE := stale
endif

.PHONY: run test check static format lock audit sbom image bench fuzz interop faults clean stale
.DEFAULT_GOAL := test
# Each target is one conversation with a person or with CI; its output stays in order.
.NOTPARALLEL:

run: $(RUNTIME)
	@exec deploy/demo/run.sh "$(STATE)" $(OUTBOUND_PORT) $(INBOUND_PORT) $(WEB_PORT) $(STATUS_PORT)

# Peers are installed and tests compiled beside the static checks; what the installation says comes
# after theirs. Tests wait for sockets and processes more than they compute, so more of them run at
# once than there are cores. Files are given out in this order, those that take long first, so that
# the last worker ends soon after the others.
test: $(DEV)
	@mkdir -p build
	@$(VENV)/bin/python -m tests.peers install > build/peers.log 2>&1 & peers=$$!; \
	$(VENV)/bin/python -m pytest --collect-only --quiet > /dev/null 2>&1 & trap 'wait; cat build/peers.log' EXIT; \
	$(MAKE) --no-print-directory static; \
	[ "$${CI:-}" != true ] || $(MAKE) --no-print-directory audit; \
	wait $$peers
	$(VENV)/bin/python -m pytest --numprocesses=$(WORKERS) --durations=5 tests/house tests/unit tests/attacks tests/fuzz $(PYTEST_ARGS)
	$(VENV)/bin/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder --durations=20 \
		tests/faults tests/deploy tests/e2e tests/interop tests/conformance tests/pkits $(PYTEST_ARGS)

check static: $(DEV)
	$(VENV)/bin/ruff format --check --quiet
	$(VENV)/bin/ruff check --quiet
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

format: $(DEV)
	$(VENV)/bin/ruff format
	$(VENV)/bin/ruff check --fix

fuzz: $(DEV)
	$(VENV)/bin/python -m tests.fuzz $(FUZZ_ARGS)

bench: $(DEV)
	@$(VENV)/bin/python -m tests.peers install
	$(VENV)/bin/python -m tests.perf $(BENCH_ARGS)

interop: $(DEV)
	@$(VENV)/bin/python -m tests.peers install
	$(VENV)/bin/python -m tests.interop

faults: $(DEV)
	$(VENV)/bin/python -m tests.faults $(FAULTS_ARGS)

lock:
	deploy/development/lock.sh

# Whether a vulnerability is known of what runs; asks an advisory service.
audit: $(DEV)
	@$(VENV)/bin/python deploy/development/audit.py $(VENV)/bin/pip-audit requirements.lock

# What runs, as CycloneDX: versions and hashes of the runtime lock.
sbom: $(DEV)
	@mkdir -p build
	@$(VENV)/bin/python -W ignore -m cyclonedx_py requirements requirements.lock --pyproject pyproject.toml --mc-type application \
		--output-reproducible --output-format JSON --output-file build/sbom.cdx.json
	@echo "wrote build/sbom.cdx.json"

# The container, by docker or podman; docs/container.md says how it is run.
ENGINE ?= $(firstword $(notdir $(shell command -v podman docker)))
IMAGE  ?= smime-proxy
image:
	@[ -n "$(ENGINE)" ] || { echo "neither podman nor docker is here" >&2; exit 1; }
	$(ENGINE) build $(if $(filter podman,$(ENGINE)),--format docker) --tag "$(IMAGE)" \
		--build-arg VERSION="$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' smime_proxy/__init__.py)" \
		--build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null || true)" $(IMAGE_ARGS) .

# The development lock holds all of the runtime lock, so either stamp serves `make run`.
$(RUNTIME): requirements.lock requirements-build.lock pyproject.toml $(STALE)
	@$(SETUP) runtime "$(VENV)"

$(DEV): requirements-dev.lock pyproject.toml $(STALE)
	@$(SETUP) dev "$(VENV)"

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find smime_proxy tests -name __pycache__ -type d -prune -exec rm -rf {} +
