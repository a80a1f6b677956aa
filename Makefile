# Every task of the project; `make` alone lists them.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check
TORCH := $(shell grep '^torch==' training/engine/requirements.txt)
PACKAGES := finetune accounts datasets_app models_app training celery_worker
# More arguments for pytest: make test ARGS="tests/accounts -x"
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run setup demo audit test test-servers test-gguf test-chaos test-cloud lint types worker bench bench-load shell openapi migrations screenshots examples

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  HOST, PORT and DATA_DIR choose where: make run PORT=8123 DATA_DIR=/srv/aifinetune"

run: setup ## start everything and print the address
	@exec $(BIN)/python -m finetune.launcher

setup: $(VENV)/.packages ## install everything into .venv, once
	@$(BIN)/python -m finetune.launcher.prepare static

demo: setup ## run the main job on a scratch installation; DATASET=file uses your data
	@exec $(BIN)/python -m finetune.demo $(if $(DATASET),--dataset "$(DATASET)")

test: setup $(VENV)/.test-packages lint types ## lint, types and the whole test suite
	@DATA_DIR=$$(mktemp -d) $(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/pytest $(ARGS)

test-servers: setup $(VENV)/.test-packages ## the platform's tests on PostgreSQL and Redis instead of SQLite and Valkey
	$(BIN)/python -m tests.servers -m "not engine and not stack and not browser" $(ARGS)

test-gguf: setup $(VENV)/.test-packages ## GGUF files read by llama.cpp itself; its first build takes some minutes
	$(PIP) -r tests/gguf-requirements.txt
	$(BIN)/pytest tests/models_app/test_gguf_tokens.py $(ARGS)

screenshots: setup $(VENV)/.test-packages ## photograph every page, three widths, light and dark, into FOLDER; HANDBOOK=1 makes those of docs/
	$(BIN)/python -m tests.e2e.gallery $(if $(HANDBOOK),--handbook,$(or $(FOLDER),screenshots))

test-chaos: setup $(VENV)/.test-packages ## kill every part at every moment of a job's life; make test does a few of these
	CHAOS=all $(BIN)/pytest tests/chaos $(ARGS)

test-schema: setup $(VENV)/.test-packages ## thousands of requests made from the API's schema; make test sends a few hundred
	SCHEMA_CASES=$(or $(CASES),50) SCHEMA_SEED=$(or $(SEED),20) $(BIN)/pytest tests/contract/test_schema_fuzz.py $(ARGS)

test-cloud: setup $(VENV)/.test-packages ## every fault of every provider, and real training there, on loopback; make test does a few of these
	CLOUD=all $(BIN)/pytest tests/training/executors $(ARGS)

lint: $(VENV)/.test-packages ## style and the layers of the architecture
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

audit: $(VENV)/.test-packages ## known holes in the packages (asks PyPI), and a second look at our own code than lint's
	@$(PIP) -q -r tests/audit-requirements.txt
	$(BIN)/bandit -q -c pyproject.toml -r $(PACKAGES) manage.py
	$(BIN)/pip-audit $(foreach file,requirements.txt training/engine/requirements.txt,-r $(file)) $(AUDIT_ARGS)

types: $(VENV)/.test-packages ## static types
	@$(BIN)/mypy $(PACKAGES)

worker: setup ## one more training worker for a running installation (same DATA_DIR or REDIS_URL)
	@exec $(BIN)/python -m celery -A celery_worker worker -Q train --pool threads --concurrency 1 -n train-$$$$@%h --loglevel INFO

examples: setup $(VENV)/.test-packages ## record the API answers that its schema shows as examples; those that still fit stay
	RECORD_ANSWERS=1 $(BIN)/pytest -q tests/accounts tests/dashboard tests/datasets_app tests/models_app tests/openai tests/training
	@$(MAKE) openapi

bench: setup ## measure start-up, training, reading, estimates; results are JSON
	@for file in bench/*.py; do $(BIN)/python -m bench.$$(basename $$file .py) || exit 1; done

bench-load: setup $(VENV)/.test-packages ## how it bears load: recording, long jobs, watchers, large data, 200 people, a soak: an hour; results are JSON
	@for database in sqlite postgresql; do \
		$(BIN)/python -m bench.load.record --database $$database && $(BIN)/python -m bench.load.open_job --database $$database || exit 1; \
	done
	@$(BIN)/python -m bench.load.watchers
	@$(BIN)/python -m bench.load.large_dataset
	@$(BIN)/python -m bench.load.browse
	@$(BIN)/python -m bench.load.soak

shell: setup ## a Python shell with the models loaded
	@exec $(BIN)/python manage.py shell

openapi: setup ## write docs/openapi.yaml from the code
	@DATA_DIR=$$(mktemp -d) $(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

migrations: setup ## write migrations for changed models
	@DATA_DIR=$$(mktemp -d) $(BIN)/python manage.py makemigrations

# --- Installation. Each stamp is newer than what it was made from, so a second run installs nothing. ---

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found. AiFineTune needs Python 3.11 or newer."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "AiFineTune needs Python 3.11 or newer; $(PYTHON) is older. Choose another: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# torch first and alone, so that TORCH_INDEX_URL can choose the CPU build or another CUDA build of exactly this version.
$(VENV)/.torch: $(VENV)/.python training/engine/requirements.txt
	@echo "Installing $(TORCH)$(if $(TORCH_INDEX_URL), from $(TORCH_INDEX_URL)) …"
	@$(PIP) $(TORCH) $(if $(TORCH_INDEX_URL),--index-url "$(TORCH_INDEX_URL)")
	@touch $@

$(VENV)/.packages: $(VENV)/.torch requirements.txt training/engine/requirements.txt
	@echo "Installing the other packages …"
	@$(PIP) -r requirements.txt -r training/engine/requirements.txt
	@touch $@

$(VENV)/.test-packages: $(VENV)/.packages tests/requirements.txt
	@$(PIP) -q -r tests/requirements.txt
	@touch $@
