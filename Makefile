# Everything is run through make, by people and by CI alike.
PYTHON ?= python3
VENV   ?= .venv
WORKERS ?= 2# processes that share the tests, each with a PostgreSQL, a Kafka or a mesh of its own
SHARED := --dist loadfile --no-loadscope-reorder# in the order of conftest.py: the longest first
PY     := $(VENV)/bin/python
UV     := $(VENV)/bin/uv
LOCALS := $(sort $(patsubst %/pyproject.toml,%,$(wildcard libs/*/pyproject.toml services/*/pyproject.toml deploy/local/pyproject.toml)))
NAMES  := $(foreach d,$(LOCALS),$(shell sed -n 's/^name = "\(.*\)"/\1/p' $(d)/pyproject.toml))
INSTALL = $(UV) pip install --compile-bytecode --python $(PY) --require-hashes --build-constraints requirements-build.lock

unexport PYTHONDONTWRITEBYTECODE  # compiled once, a service is imported in half the time

.DEFAULT_GOAL := help
.PHONY: help demo up down status logs test lint types unit contract component e2e scale property asyncapi bench bench-table bench-load docs format lock clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

# --- for whoever runs the mesh

demo: $(VENV)/.run ## set everything up, run the main job on real data, say what happened and where to look
	@$(VENV)/bin/dxmesh demo

up: $(VENV)/.run ## start the mesh and leave it running
	@$(PY) -m dxmesh_local up

down: $(VENV)/.run ## stop the mesh
	@$(PY) -m dxmesh_local down

status: $(VENV)/.run ## say which parts run, and where
	@$(PY) -m dxmesh_local status

logs: $(VENV)/.run ## show the logs of all parts, and go on
	@$(PY) -m dxmesh_local logs -f

# --- for whoever works on it

test: ## lint, types, import rules, unit, component, contract, end-to-end
	@$(MAKE) --no-print-directory --jobs=2 lint types contract
	@$(MAKE) --no-print-directory component e2e

lint: $(VENV)/.dev ## style and import rules
	@echo "== lint"
	@$(VENV)/bin/ruff format --check -q .
	@$(VENV)/bin/ruff check -q .
	@$(VENV)/bin/lint-imports --no-logo --verbose=false 2>/dev/null || $(VENV)/bin/lint-imports

types: $(VENV)/.dev ## mypy --strict
	@echo "== types"
	@$(VENV)/bin/mypy $(foreach d,$(LOCALS),$(d)/src) benchmarks

unit: contract component ## unit, component and contract tests

contract: $(VENV)/.dev
	@echo "== contract"
	@$(PY) -m pytest tests/contract

component: $(VENV)/.dev
	@echo "== unit, component"
	@$(PY) -m pytest -n $(WORKERS) $(SHARED) libs services deploy/local

e2e: $(VENV)/.dev ## the whole mesh: the demo, bad input, faults, pages in a browser
	@echo "== end to end"
	@$(PY) -m pytest -n $(WORKERS) $(SHARED) tests/e2e tests/browser

scale: $(VENV)/.dev ## a catalogue of a city's size: entered, found, replayed into a neighbour (minutes)
	@echo "== scale"
	@$(PY) -m pytest tests/scale

property: $(VENV)/.dev ## what leaves is inside the grant: many random grants, pushes and changes by every way (minutes)
	@DXMESH_PROPERTY_EXAMPLES=$(or $(EXAMPLES),30) $(PY) -m pytest services/exchange-svc/tests/component/test_subscriptions/inside_the_grant

asyncapi: $(VENV)/.dev ## fetch the AsyncAPI parser (npm, once) and check the document of the data topics with it
	@mkdir -p $(VENV)/asyncapi
	@test -d $(VENV)/asyncapi/node_modules || npm install --silent --ignore-scripts --no-audit --no-fund --prefix $(VENV)/asyncapi @asyncapi/parser@3.6.3
	@$(PY) -m pytest services/exchange-svc/tests/component/test_channels.py

bench: $(VENV)/.dev ## measure, print ratios, write benchmarks/latest.json
	@$(PY) -m benchmarks

bench-table: $(VENV)/.dev ## measure a table of 16.75 million rows, write benchmarks/table.json (minutes, 3 GB)
	@$(PY) -m benchmarks.table_fold

bench-load: $(VENV)/.dev ## hold a city's peak for ten minutes, write benchmarks/load.json (14 minutes, 10 GB)
	@$(PY) -m benchmarks.load

docs: $(VENV)/.dev ## write the generated pages of docs/ again
	@$(PY) -m tests.contract.generate

format: $(VENV)/.dev ## format the code
	@$(VENV)/bin/ruff format -q .
	@$(VENV)/bin/ruff check -q --fix .

# --- set-up

$(UV): requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.exit("dxmesh needs Python 3.11 or newer: set PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-uv.lock \
	  || { echo "the installer could not be fetched: check the network, or PIP_INDEX_URL for a mirror" >&2; exit 1; }
	@touch $@

$(VENV)/.run: $(UV) requirements.lock requirements-build.lock $(LOCALS:%=%/pyproject.toml)
	@echo "installing the product (about 220 MB the first time)"
	@$(INSTALL) -r requirements.lock || { echo "packages could not be fetched: check the network, or UV_DEFAULT_INDEX for a mirror" >&2; exit 1; }
	@$(INSTALL) -q -r requirements-build.lock
	@$(UV) pip install -q --python $(PY) --offline --no-deps --no-build-isolation $(LOCALS:%=-e ./%)
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@echo "installing the test tools"
	@$(INSTALL) -r requirements-dev.lock
	@touch $@

COMPILE = $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
          --no-header --no-annotate $(NAMES:%=--no-emit-package %) $(UPGRADE)
lock: $(UV) ## resolve the locks again: hashed, without addresses
	$(COMPILE) requirements-uv.in -o requirements-uv.lock
	$(COMPILE) requirements-build.in -o requirements-build.lock
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	$(COMPILE) --group services -c requirements.lock -o deploy/docker/requirements.lock
	! grep -nE '://|^--|@ file|^-e' requirements*.lock deploy/docker/requirements.lock

clean: ## remove the environment; the data in .dxmesh stays
	rm -rf $(VENV)
