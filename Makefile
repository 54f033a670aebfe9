# Needs Python 3.11 or newer and make. The first target that needs uv installs it into .tools/.
PYTHON ?= python3
UV ?= .tools/bin/uv
NEEDS_UV = $(filter .tools/bin/uv,$(UV))
RUN = $(UV) run --locked
export UV_PYTHON_DOWNLOADS ?= never
export UV_PYTHON ?= $(shell $(PYTHON) -c 'import sys; print(sys.executable)' 2>/dev/null)
# Tests find the programs that `make tools` installs; programs that are on PATH already come first.
export PATH := $(PATH):$(CURDIR)/.tools/bin
.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(NEEDS_UV) ## run the service on http://127.0.0.1:8000, items in data/items.db
	$(RUN) --no-dev devops-api serve

.PHONY: up
up: ## start API, Prometheus and Grafana with Docker, wait until they are healthy
	docker compose up -d --wait --build

.PHONY: down
down: ## stop them; items and metrics stay in their volumes
	docker compose down

.PHONY: check
check: lint test ## run everything that must pass before a commit: lint and test

.PHONY: lint
lint: $(NEEDS_UV) ## check style, types, layers, generated files, configuration
	$(UV) lock --check
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) python -m observability --check
	$(RUN) python -m observability.reference --check
	$(RUN) yamllint --strict .
	$(RUN) hadolint --config .hadolint.yaml docker/Dockerfile
	$(RUN) check-jsonschema --builtin-schema vendor.compose-spec compose.yml
	$(RUN) check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml
	$(RUN) check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

.PHONY: test
test: $(NEEDS_UV) ## run the test suite without containers (ARGS="-k name" for a part of it)
	$(RUN) pytest -m "not containers" $(ARGS)

.PHONY: smoke
smoke: $(NEEDS_UV) ## build the image, run it, the composition and the documented commands (needs Docker)
	$(RUN) pytest -m containers $(ARGS)

.PHONY: tools
tools: ## copy the programs that tests need from their images into .tools/bin (needs Docker, Linux)
	docker/copy-tools

.PHONY: format
format: $(NEEDS_UV) ## format the code and fix what ruff can fix
	$(RUN) ruff format
	$(RUN) ruff check --fix

.PHONY: generate
generate: $(NEEDS_UV) ## write everything generated: dashboards, rules, settings, telemetry reference
	$(RUN) python -m observability
	$(RUN) python -m observability.reference

.PHONY: bench
bench: $(NEEDS_UV) ## measure the budgets of DESIGN.md (minutes)
	$(RUN) python benchmarks/service.py
	$(RUN) python benchmarks/store.py
	$(RUN) python benchmarks/telemetry.py
	$(RUN) python benchmarks/scrape.py

.PHONY: drill
drill: $(NEEDS_UV) ## run an alert drill on the composition: inject failures, wait for the page to come and go (minutes)
	$(RUN) python -m observability.drill --api http://127.0.0.1:8000 --prometheus http://127.0.0.1:9090

.PHONY: preview
preview: $(NEEDS_UV) ## draw the dashboards with live data of Prometheus on :9090 (needs Node.js and Chromium)
	npm ci --prefix observability/preview --silent
	$(RUN) python -m observability.preview

.tools/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.14"; exit 1; }
	@$(PYTHON) -m venv .tools \
	  || { echo "this Python has no venv (on Debian: apt install python3-venv), or use your own uv: make UV=uv"; exit 1; }
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.13,<0.14'
