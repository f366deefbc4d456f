PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python
UV     := $(VENV)/bin/uv
LOCALS := $(sort $(patsubst %/pyproject.toml,%,$(wildcard libs/*/pyproject.toml services/*/pyproject.toml deploy/local/pyproject.toml)))
NAMES  := $(foreach d,$(LOCALS),$(shell sed -n 's/^name = "\(.*\)"/\1/p' $(d)/pyproject.toml))
INSTALL = $(UV) pip install --python $(PY) --require-hashes --build-constraints requirements-build.lock

.DEFAULT_GOAL := help
.PHONY: help
help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(UV): requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.exit("dxmesh needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@touch $@

$(VENV)/.run: $(UV) requirements.lock requirements-build.lock $(LOCALS:%=%/pyproject.toml)
	@echo "installing the product (about 220 MB the first time)"
	@$(INSTALL) -r requirements.lock
	@$(INSTALL) -q -r requirements-build.lock
	@$(UV) pip install -q --python $(PY) --offline --no-deps --no-build-isolation $(LOCALS:%=-e ./%)
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@echo "installing the test tools"
	@$(INSTALL) -r requirements-dev.lock
	@touch $@

COMPILE = $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
          --no-header --no-annotate $(NAMES:%=--no-emit-package %) $(UPGRADE)
.PHONY: lock
lock: $(UV) ## Resolve the locks again (hashed, without addresses)
	$(COMPILE) requirements-uv.in -o requirements-uv.lock
	$(COMPILE) requirements-build.in -o requirements-build.lock
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	! grep -nE '://|^--|@ file|^-e' requirements*.lock
