# Needs Linux on x86_64, GNU make and Python >= 3.11.  Everything else is put into .venv/ and the cache folder of `rookery dev`.
# `make` or `make help` says what there is.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.SUFFIXES:
# Of several goals, one after another: they share one machine and its ports.
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
PYTEST := $(RUN) pytest
INSTALLED := $(VENV)/installed.stamp
# One of the stubs stands for all: they are written together.
GENERATED := client/rookery/v1/common_pb2.py
BASELINE := proto/baseline.binpb
PROTO := $(wildcard proto/rookery/v1/*.proto)
SOURCES := client server tests hatch_build.py
# Tests that need no server run in groups, as many at once as there are processors: the longest come first, and
# what fills the time of the last ones comes last.
comma := ,
space := $(subst ,, )
group = $(subst $(space),$(comma),$(filter-out %/__pycache__,$(1)))
LAST := tests/unit/scenarios tests/unit/workers tests/unit/rpc
UNIT_REST := $(filter-out tests/unit/services $(LAST),$(wildcard tests/unit/*)) tests/architecture
UNIT := tests/unit/services $(call group,$(UNIT_REST)) $(LAST)
SOCIETY := tests/simulation/test_society_bugs.py
SIMULATED := $(SOCIETY) $(filter-out $(SOCIETY),$(wildcard tests/simulation/test_*.py))
CONTRACTS := $(filter-out %/__pycache__/,$(wildcard tests/conformance/*/))

# Histories of the simulation, each from its own seed: about two minutes of two cores; `make simulate SEEDS=10000`, fifty
# minutes, before a release.
SEEDS ?= 500
# Tests with engines wait more than they work: groups of them run at once.  What is new falls to the first group.
together = $(subst $(space),$(comma),$(strip $(1)))
OF_STORES := $(wildcard tests/conformance/store/test_*.py)
OF_CACHES := $(filter-out $(OF_STORES),$(wildcard tests/conformance/*/test_*.py))
CASSANDRA := $(wildcard tests/integration/cassandra/test_*.py) $(addprefix tests/integration/dev/,test_shared.py test_durable_stacks.py)
DEV := $(filter-out $(CASSANDRA),$(wildcard tests/integration/dev/test_*.py))
VALKEY := $(filter-out $(CASSANDRA) $(DEV),$(wildcard tests/integration/*/test_*.py))
ALONE := $(addprefix tests/e2e/,test_successions.py test_outage_scenarios.py test_scenarios.py test_fail_points.py)
OWN_NODES := $(addprefix tests/e2e/,test_drill.py test_fault_run.py)
# Last of their group, when others are done: they take all the processor there is.
BUSY := $(addprefix tests/e2e/,test_whole_run.py test_fuzz.py)
TOGETHER := $(filter-out $(ALONE) $(OWN_NODES) $(BUSY),$(wildcard tests/e2e/test_*.py)) $(BUSY)

# How long `make faults` goes on; a round of all faults takes about two minutes.
SECONDS ?= 600
# More options for pytest: `make unit ARGS="-k paging -x"`.
ARGS ?=

##@ Use it
.PHONY: up down wipe
up: $(GENERATED)  ## a real Cassandra and Valkey cluster, a server, a worker and a sample network; Ctrl-C ends it all
	@$(BIN)/rookery up

down: $(INSTALLED)  ## stop a stack that was left running; its data stays
	@$(BIN)/rookery dev down

wipe: $(INSTALLED)  ## stop the stack and delete its data
	@$(BIN)/rookery dev wipe

##@ Check it
.PHONY: test check lint types proto unit contracts simulate conformance integration e2e faults
test: check conformance integration e2e  ## everything: what CI runs

check: lint types proto unit contracts simulate  ## the fast tier, without servers: run it before every commit

lint: $(INSTALLED)  ## ruff: mistakes, async traps, form
	$(RUN) ruff check $(SOURCES)
	$(RUN) ruff format --check $(SOURCES)

types: $(GENERATED)  ## mypy, strict, of tests as well
	$(RUN) mypy client/rookery server/rookery_server tests hatch_build.py

proto: lint-proto breaking  ## the contract: form, and nothing in it that breaks a caller

unit: $(GENERATED)  ## unit and architecture tests: memory adapters, fake clock
	$(RUN) tests.support.side_by_side $(UNIT) -- $(ARGS)

contracts: $(GENERATED)  ## the suites of `conformance`, memory adapters alone
	$(RUN) tests.support.side_by_side $(CONTRACTS) -- -k memory $(ARGS)

simulate: $(GENERATED)  ## SEEDS histories in virtual time, with faults, against an oracle; a failing seed replays exactly
	$(RUN) tests.simulation.run --seeds $(SEEDS)
	$(RUN) tests.support.side_by_side $(SIMULATED) -- $(ARGS)

conformance: $(GENERATED)  ## one suite for each contract, against memory and the real engines
	$(RUN) tests.support.engine_groups $(call together,$(OF_CACHES)) $(call together,$(OF_STORES)) -- $(ARGS)

integration: $(GENERATED)  ## what only a real engine can show
	$(RUN) tests.support.engine_groups $(call together,$(VALKEY)) $(call together,$(CASSANDRA)) $(call together,$(DEV)) -- $(ARGS)

e2e: $(GENERATED)  ## whole processes: the command line, a server, a worker, kills
	$(RUN) tests.support.engine_groups --cassandra $(call together,$(TOGETHER)) $(ALONE) --then $(call together,$(OWN_NODES)) -- $(ARGS)

faults: $(GENERATED)  ## SECONDS of faults on three nodes under load; SEED=n repeats their order, FAULT=worker narrows
	$(RUN) tests.support.fault_run --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(if $(FAULT),--only $(FAULT))

##@ Change it
.PHONY: gen format lint-proto breaking baseline
gen: $(GENERATED)  ## stubs from proto/, where a proto is newer than they are
	@:

format: $(INSTALLED)  ## put Python and proto sources into form
	$(RUN) ruff check --fix $(SOURCES)
	$(RUN) ruff format $(SOURCES)
	$(BIN)/buf format --write

lint-proto: $(INSTALLED)
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code

breaking: $(INSTALLED)  ## does proto/ break callers of the committed baseline?
	$(BIN)/buf breaking --against $(BASELINE)

baseline: breaking  ## take proto/ as the new baseline: with every change that passes `breaking`
	$(BIN)/buf build --exclude-source-info -o $(BASELINE)

##@ Housekeeping
.PHONY: help clean
help:  ## this text
	@awk 'BEGIN { FS = ":.*## "; printf "usage: make [TARGET] [SEEDS=500] [ARGS=\"…\"]\n" } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

clean:  ## delete .venv, stubs and caches of tools; engines and their data stay (see `wipe`)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
	rm -f client/rookery/v1/*_pb2*.py client/rookery/v1/*_pb2*.pyi
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first Python that starts and is new enough; a name on PATH alone proves neither.
NEW_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))
$(BIN)/python:
	@test "$$(uname -s) $$(uname -m)" = "Linux x86_64" || { \
	  echo "Rookery's local engines are packaged for Linux x86_64; this is $$(uname -s) $$(uname -m)." >&2; exit 1; }
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	  "$$python" -c '$(NEW_ENOUGH)' >/dev/null 2>&1 || continue; \
	  "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || { without="$$python"; continue; }; \
	  echo "Making $(VENV) with $$("$$python" --version) ($$python)"; \
	  rm -rf $(VENV) && exec "$$python" -m venv $(VENV); \
	done; \
	if [ -n "$$without" ]; then \
	  echo "$$without cannot make virtual environments (Debian, Ubuntu: apt install python3-venv)." >&2; \
	else \
	  echo "No Python >= 3.11 found. Name one: make PYTHON=/path/to/python3 …" >&2; \
	fi; exit 1

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what pyproject.toml asks for into $(VENV) (about a minute the first time)"
	@$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(GENERATED): $(PROTO) hatch_build.py | $(INSTALLED)
	@$(BIN)/python hatch_build.py >/dev/null
