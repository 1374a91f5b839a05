# Orcastra's commands. `make` alone lists them. All of them set up what they need first.

VENV     := .venv
BIN      := $(VENV)/bin
STAMP    := $(VENV)/.dev-stamp
DISTS    := orcastra_core orcastra_redis orcastra_kafka orcastra_postgres conformance_tests
SOURCES  := pyproject.toml $(DISTS:%=%/pyproject.toml) requirements-dev.txt constraints.txt

# The first Python on the path that is new enough; `make PYTHON=/path/to/python dev` decides otherwise.
PYTHON   ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
              "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

# The servers that the tests need. A backend joins the list when its tests do.
SERVICES := redis postgres
ARGS     ?=

say = @printf '── %s\n' '$(1)'

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

.PHONY: help dev demo test proof check lint types layers docs bench services-up services-down dist pins clean

help: ## list the commands
	@printf '\nOrcastra: one task queue for Python, any broker underneath.\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-22s %s\n", $$1, $$2 }'
	@printf '\nStart with:  make demo\n\n'

dev: $(STAMP) ## set up .venv with all six dists (editable) and the tools

$(STAMP): $(SOURCES)
	@scripts/check-python "$(PYTHON)"
	$(call say,Setting up $(VENV): the first time takes about a minute)
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r requirements-dev.txt
	@touch $@
	$(call say,Ready. Try: make demo)

demo: dev ## real work on the embedded broker, no server needed (ARGS="--url …" for another)
	$(call say,Running orcastra demo)
	@$(BIN)/orcastra demo $(ARGS)

test: dev ## run all tests, with the servers they need (ARGS="-k name" to choose)
	$(call say,Running the tests)
	@scripts/services run $(SERVICES) -- $(BIN)/python -m pytest $(ARGS)

proof: export ORCASTRA_PROOF = 1
proof: export ORCASTRA_CONFORMANCE_SEEDS = 20
proof: dev ## everything in every mode, with many seeds: long
	$(call say,Running the tests and the proofs)
	@scripts/services run $(SERVICES) -- $(BIN)/python -m pytest -m "" $(ARGS)

check: lint types layers docs ## lint, types, layers, docs: all that needs no running
	$(call say,All checks passed)

lint: dev
	$(call say,ruff: lint and format)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: dev
	$(call say,mypy --strict and pyright: the types of sources and tests and of the public API)
	@scripts/check-types $(BIN)

layers: dev
	$(call say,import-linter: who may import whom)
	@$(BIN)/lint-imports
	@$(BIN)/lint-imports --config scripts/import-cycles.toml

docs: dev
	$(call say,mkdocs build --strict)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site

bench: dev ## measure (ARGS are passed on)
	$(call say,Benchmarks: nothing else should run on this machine now)
	@$(BIN)/python -m benchmarks $(ARGS)

services-up: ## start private servers and print their variables (SERVICES="redis" to choose)
	@scripts/services up $(SERVICES)

services-down: ## stop exactly the servers that services-up started
	@scripts/services down

dist: dev ## build the dists and try them in an empty environment
	$(call say,Building into dist/)
	@scripts/build-dists $(BIN)/python

pins: dev ## renew constraints.txt with the newest versions
	$(call say,Renewing constraints.txt)
	@scripts/pins $(BIN)/python

clean: services-down ## remove what the commands made: .venv, caches, builds
	@rm -rf $(VENV) site dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
