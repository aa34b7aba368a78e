# Each command creates what it needs: a virtual environment with the locked packages, and agentroute itself.
# Expected of the machine: make, Python 3.11 or newer, pip; Linux (x86-64, arm64) or macOS (arm64).
#
#   VENV=path    the environment's folder (no spaces in it; the clone's own path may have some)
#   PYTHON=path  the Python to make it with (no spaces either)
#   JOBS=2       processes that test runs in; 0 for one after the other
#   ARGS="..."   passed on to the program that demo, test or coverage starts

VENV ?= .venv
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)
JOBS ?= 2
ARGS ?=

ifneq ($(words $(VENV)),1)
$(error VENV must be one path without spaces, not "$(VENV)")
endif

BIN := $(VENV)/bin
# An environment made without pip (a Python without ensurepip) is filled by the machine's own pip.
PIP = $$([ -x $(BIN)/pip ] && echo $(BIN)/python -m pip || echo $(PYTHON) -m pip --python $(BIN)/python)
INSTALL = $(PIP) --disable-pip-version-check install --quiet --quiet --no-deps
# The locks are complete, so there is nothing to resolve; each file is checked against its hash, and none is built.
INSTALL_LOCKED = $(INSTALL) --only-binary :all: --require-hashes --requirement

# Touched by each step that is done. A newer lock or pyproject.toml makes its step run again, nothing else does.
RUNTIME := $(VENV)/.runtime-installed
PACKAGE := $(VENV)/.agentroute-installed
DEV := $(VENV)/.dev-installed
BENCH := $(VENV)/.bench-installed
REAL_APIS := $(abspath $(VENV))/real-apis
NODE := graphs/repo_report/node_modules/.package-lock.json

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header $(UPGRADE) pyproject.toml

export NO_MKDOCS_2_WARNING := 1
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo scenarios schedules mutants test lint format types contracts docs coverage bench health tiers lock ci clean $(if $(wildcard $(NODE)),,$(NODE))

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: $(PACKAGE) $(NODE) ## run the main job: a health report of this repository; one server is killed on the way
	$(BIN)/python graphs/repo_report/demo.py $(ARGS)

scenarios: $(DEV) ## run the paper's 19 over real providers, beside a ReAct loop and a static workflow
	$(BIN)/agentroute scenario run scenarios/paper --compare react,static $(ARGS)

schedules: $(PACKAGE) ## run 3,000 random scenarios in virtual time (some three minutes)
	@rm -rf .agentroute/drawn
	$(BIN)/agentroute scenario generate --count 3000 --seed 1 --out .agentroute/drawn
	$(BIN)/agentroute scenario run .agentroute/drawn $(ARGS)

mutants: $(DEV) ## plant bugs in the runtime and show what catches them
	$(BIN)/python -m tests.benchmarks.mutants $(ARGS)

test: $(DEV) $(REAL_APIS) ## run every test, among them every block of code in the documentation
	PYTHONPATH=$(REAL_APIS) $(BIN)/pytest -n $(JOBS) $(ARGS)

lint: $(DEV) ## check style and formatting
	$(BIN)/ruff check --output-format concise
	$(BIN)/ruff format --check

format: $(DEV) ## mend style and formatting where that is safe
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(DEV) ## check types, strictly
	$(BIN)/basedpyright --pythonpath $(BIN)/python

contracts: $(DEV) ## check that dependencies point down and that the core is pure
	$(BIN)/lint-imports

docs: $(DEV) ## build the documentation into site/; a broken link fails
	$(BIN)/mkdocs build --strict --config-file .ci/mkdocs.yml

coverage: $(DEV) ## run every test and show the branches that none of them takes
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: $(BENCH) ## measure agentroute beside other libraries
	@for file in $(filter-out %/bench_tiers.py,$(wildcard tests/benchmarks/bench_*.py)); do echo "$$file"; $(BIN)/python "$$file" || exit 1; done

health: $(DEV) ## play loads against providers that misbehave: health on, off, and beside an oracle (some five minutes)
	$(BIN)/python -m tests.benchmarks.bench_health $(ARGS)

tiers: $(DEV) ## route real questions among real models: ARGS="--data FOLDER" says where the outcomes are
	$(BIN)/python -m tests.benchmarks.bench_tiers $(ARGS)

lock: $(DEV) ## write the locks anew; UPGRADE=--upgrade takes the newest versions that fit together
	$(COMPILE) --group dev --output-file requirements/dev.txt
	$(COMPILE) --group runtime --constraint requirements/dev.txt --output-file requirements/runtime.txt
	$(COMPILE) --group bench --constraint requirements/dev.txt --output-file requirements/bench.txt
	printf 'bfcl-eval\n' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --no-deps $(UPGRADE) - --output-file requirements/bfcl.txt

ci: ## run everything that has to pass before a change is merged
	bash .ci/run

clean: ## remove what the commands above left behind, except the environment
	rm -rf .coverage .coverage.* .hypothesis .import_linter_cache .pytest_cache .ruff_cache build dist htmlcov site

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "No Python 3.11 or newer found. Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || $(PYTHON) -m venv --clear --without-pip $(VENV)

$(RUNTIME): requirements/runtime.txt | $(BIN)/python
	@echo "Installing the packages that agentroute and its demonstrations need into $(VENV) (a minute or two, once)"
	@$(INSTALL_LOCKED) requirements/runtime.txt
	@touch $@

$(PACKAGE): pyproject.toml $(RUNTIME)
	@$(INSTALL) --no-build-isolation --editable .
	@touch $@

$(DEV): requirements/dev.txt $(PACKAGE)
	@echo "Installing the packages that tests and checks need into $(VENV)"
	@$(INSTALL_LOCKED) requirements/dev.txt
	@$(PIP) --disable-pip-version-check check
	@touch $@

$(BENCH): requirements/bench.txt $(DEV)
	@echo "Installing the libraries to compare with into $(VENV)"
	@$(INSTALL_LOCKED) requirements/bench.txt
	@touch $@

# In a folder of its own, because its dependencies are left out on purpose and `pip check` would miss them.
$(REAL_APIS): requirements/bfcl.txt | $(DEV)
	@echo "Installing the real APIs that agents are tested on into $@"
	@rm -rf $@
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --quiet --no-deps --only-binary :all: \
		--require-hashes --requirement $< --target $@
	@touch $@

# MCP servers written for Node.js. The demonstration has other ways, so going without is no error.
$(NODE): $(wildcard graphs/repo_report/package-lock.json)
	@if [ -z "$^" ]; then :; \
	elif ! command -v npm >/dev/null; then \
		echo "npm not found: going without the MCP filesystem server. To have it, install Node.js 20 or newer (nodejs.org)."; \
	elif (cd graphs/repo_report && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error); then touch $@; \
	else echo "npm ci failed: going without the MCP filesystem server." >&2; fi
