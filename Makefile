PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two test processes: CI machines have 2 cores.
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint check format docs lock bench

help: ## Print this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Create the virtual environment with all dependencies

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Callsheet needs Python 3.11 or newer; set PYTHON=…")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (a minute or two the first time) …"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Make a video: a plan of dependent jobs on real media, without keys, GPU or network
	@$(BIN)/callsheet demo --out demo-output

test: setup ## Run every test
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

lint: setup ## Check format, style, vocabulary, types and import contracts
	@$(BIN)/ruff format --check src tests bench docs tools
	@$(BIN)/ruff check src tests bench docs tools
	@$(BIN)/python tools/check_words.py
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check: lint test ## Everything that must hold before a change lands

format: setup ## Format the code, and fix what can be fixed automatically
	@$(BIN)/ruff format src tests bench docs tools
	@$(BIN)/ruff check --fix src tests bench docs tools

lock: setup ## Resolve the dependencies again
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock

docs: setup ## Regenerate the generated parts of the documentation
	@$(BIN)/python docs/generate.py

bench: setup bench/.venv/.ready bench/peers/bullmq/node_modules/.ready ## Measure speed against named peers; prints a table, writes bench/results
	@$(BIN)/python -m bench $(BENCH)

bench/.venv/.ready: bench/requirements.lock
	@test -x bench/.venv/bin/python || $(PYTHON) -m venv bench/.venv
	@bench/.venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r $<
	@touch $@

bench/peers/bullmq/node_modules/.ready: bench/peers/bullmq/package-lock.json
	@if command -v npm >/dev/null; then cd bench/peers/bullmq && npm install --no-save --silent --no-audit --no-fund; fi
	@mkdir -p $(@D) && touch $@
