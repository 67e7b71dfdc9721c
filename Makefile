# Every target installs what it needs first; nothing but Python 3.11, make and a C compiler has to be there.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?= $(shell for python in python3.11 python3 python; do \
	if command -v $$python >/dev/null && $$python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; \
	then command -v $$python; break; fi; done)
PYTEST_ARGS ?=

PAGE := web/dist/index.html
PAGE_SOURCES := $(shell find web/src web/plugins web/index.html web/vite.config.ts -type f ! -name schema.d.ts) \
	$(wildcard api/*.py api/routes/*.py core/options.py core/presets.py core/jobs.py)
NODE_MODULES := web/node_modules/.package-lock.json
HAS_NPM := $(shell command -v npm >/dev/null && node -e 'const [major, minor] = process.versions.node.split("."); \
	process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)' 2>/dev/null && echo yes)
NO_NPM := The page at / is not built: npm with Node 20.19 or later was not found. Everything else works without it.

.PHONY: help setup demo up web tools test test-unit test-page test-integration test-e2e lint format docs bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make the environment, .venv/

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 was not found. Install it, or say where it is: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

demo: $(STAMP) ## enhance the bundled noisy recording over REST and show the difference
	$(BIN)/limpid demo

up: $(STAMP) ## the embedded stack and its page on http://127.0.0.1:8000, until Ctrl-C
	@$(MAKE) --no-print-directory web || echo "The page at / could not be built. Everything else works without it." >&2
	@exec $(BIN)/limpid up

ifeq ($(HAS_NPM),yes)
web: $(PAGE) ## build the page that the API serves at /
else
web:
	@echo "$(NO_NPM)" >&2
endif

$(PAGE): $(NODE_MODULES) $(PAGE_SOURCES) | $(STAMP)
	$(BIN)/python -m api.document > web/openapi.json
	cd web && npm run --silent build

$(NODE_MODULES): web/package.json web/package-lock.json
	cd web && npm ci --silent
	@touch $@

tools: ## Chromium and Prometheus for the tests, where this machine lets us install them
	@tests/install-tool chromium chromium chromium-browser google-chrome
	@tests/install-tool prometheus prometheus

# One thread per process: a second OpenMP thread only takes time from the other test process.
test test-unit test-integration test-e2e: export OMP_NUM_THREADS ?= 1

test: test-unit test-page tools web ## unit, integration (real servers) and end-to-end tests
	$(BIN)/python -m pytest tests/integration tests/e2e $(PYTEST_ARGS)

test-unit: $(STAMP) ## the fast tests alone: no services, no network
	$(BIN)/python -m pytest tests/unit --numprocesses 2 --dist worksteal $(PYTEST_ARGS)

test-integration: $(STAMP) tools ## the tests that start Postgres, Redis and an S3 server
	$(BIN)/python -m pytest tests/integration $(PYTEST_ARGS)

ifeq ($(HAS_NPM),yes)
test-page: $(NODE_MODULES) ## the fast tests of the page's own parts
	cd web && npm run --silent test
else
test-page:
	@echo "The page's own parts were not tested: npm with Node 20.19 or later was not found." >&2
endif

test-e2e: $(STAMP) tools web ## the tests that run the commands as a user does
	$(BIN)/python -m pytest tests/e2e $(PYTEST_ARGS)

lint: $(STAMP) $(if $(HAS_NPM),$(NODE_MODULES)) ## ruff, ruff format, mypy; tsc and eslint where npm is there
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
ifeq ($(HAS_NPM),yes)
	$(BIN)/python -m api.document > web/openapi.json
	cd web && npm run --silent lint
else
	@echo "The page in web/ was not checked: npm with Node 20.19 or later was not found." >&2
endif

format: $(STAMP) ## let ruff fix and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## the documentation as a site, in build/site
	$(BIN)/mkdocs build --strict --quiet

bench: $(STAMP) ## measure speed and memory on this machine
	$(BIN)/limpid bench

clean: ## remove the environment, caches and demo output; never limpid-data
	rm -rf $(VENV) build dist demo-output web/dist web/node_modules *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
