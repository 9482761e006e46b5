# s2nn: one entry per thing a user does. `make` alone lists them.
#
# The first target that needs Python creates $(VENV) and installs the known-good set of constraints.txt; later calls reuse it
# until pyproject.toml, constraints.txt or the folder's own path change. Nothing needs root.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

VENV  ?= .venv
ARGS  ?=
# Interpreter for the virtual environment; empty = the first python3.13, 3.12, 3.11 or python3 that can make one.
PYTHON ?=
# Package index to take PyTorch alone from; empty = wherever pip is set up to look.
TORCH_INDEX ?=

STAMP := $(VENV)/.s2nn-installed
FARM  := build/ns/s2nn
LINKS := $(FARM)/model $(FARM)/hw $(FARM)/tools

# Programs run without this make's flags: a simulator build starts a make of its own, and must neither see our job server nor
# our ARGS. The environment's tools come first on PATH.
CLEAN_ENV := env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES -u GNUMAKEFLAGS
RUN := $(CLEAN_ENV) PATH="$$(cd "$(VENV)/bin" && pwd):$$PATH"

.PHONY: help setup sim test export plots compare synth formal train lint lint-style lint-layers lint-types clean distclean FORCE

help: ## list the targets
	@echo "usage: make TARGET [ARGS='options of the command behind it'] [PYTHON=python3.x] [VENV=folder]"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1@\2/p' Makefile | awk -F@ '{ printf "%-14s%s\n", $$1, $$2 }'
	@echo
	@echo "TORCH_INDEX=URL takes PyTorch from that package index alone, e.g. PyTorch's own index of CPU builds:"
	@echo "on Linux the general index may serve a build with CUDA, several GB that nothing here needs."

setup: $(STAMP) ## create the virtual environment and install what is missing
	@echo "make setup: $(VENV) is ready"

sim: $(STAMP) ## run the committed nets in the RTL; tables and plots under build/run
	@$(RUN) s2nn run $(ARGS)

test: $(STAMP) ## run the tests (ARGS='-m "not slow"' for the quick ones), a worker per core and at most four
	@$(RUN) OMP_NUM_THREADS=1 pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

export: $(STAMP) ## pack the committed checkpoints into memory images
	@$(RUN) s2nn export $(ARGS)

plots: $(STAMP) ## draw the plots of the last run
	@$(RUN) s2nn plots $(ARGS)

compare: $(STAMP) ## formats x schedules on the DRAM model, against the 1-bit baseline; under build/compare
	@$(RUN) s2nn compare $(ARGS)

synth: $(STAMP) ## synthesise both weight formats: area and Fmax
	@$(RUN) s2nn synth $(ARGS)

formal: $(STAMP) ## prove the laws of the RTL (ARGS='--fast' for those that take seconds)
	@$(RUN) s2nn formal $(ARGS)

train: $(STAMP) ## train the default net and its 1-bit twin
	@$(RUN) s2nn train $(ARGS)

lint: lint-style lint-layers lint-types ## style, layer rules and types

lint-style: $(STAMP)
	@$(RUN) ruff check .

lint-layers: $(STAMP)
	@$(RUN) lint-imports

# The type checker must meet each file under its import name (s2nn.…), so it reads the packages through three links.
lint-types: $(STAMP) | $(LINKS)
	@$(RUN) pyright --pythonpath "$(VENV)/bin/python"

$(LINKS):
	@mkdir -p $(FARM)
	@ln -sfn ../../../$(@F) $@

clean: ## remove build/ and caches, keep the environment
	rm -rf build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find hw model tools tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## also remove the environment
	rm -rf "$(VENV)" s2nn.egg-info

# An environment remembers the folder it was made in: a moved or copied clone installs anew.
ifneq ($(shell cat "$(STAMP)" 2>/dev/null),$(CURDIR))
$(STAMP): FORCE
endif

$(STAMP): pyproject.toml constraints.txt tools/setup_environment.sh
	@PYTHON="$(PYTHON)" TORCH_INDEX="$(TORCH_INDEX)" $(CLEAN_ENV) sh tools/setup_environment.sh "$(VENV)" "$(STAMP)"
