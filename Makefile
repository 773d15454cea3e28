# `make run` and `make test` are all a newcomer needs; CONTRIBUTING.md tells the rest.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# The theme would otherwise print an advertisement for its successor.
SITE := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs

PAGE := tusd_server/web/page/index.html
PAGE_SOURCES := $(shell find ui -path ui/node_modules -prune -o -type f -print)

.PHONY: run ui screenshots test check format docs site docs-serve bench clean

run: $(VENV)/.runs
	@$(MAKE) --no-print-directory ui || echo "Starting without the page; uploads work without it."
	@exec $(BIN)/tusd-server serve $(ARGS)

ui: $(PAGE)

screenshots: $(VENV)/.tests
	@$(BIN)/python -m pytest --screenshots tests/browser/test_quality.py -k pictures

test: $(VENV)/.tests
	@./tests/install-packages
	@$(BIN)/python docs/generate.py --check
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet . && $(BIN)/lint-imports >/dev/null
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy bench
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(SITE) build --strict --site-dir build/checked-site

format: $(VENV)/.tests
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.tests
	$(BIN)/python docs/generate.py

site: $(VENV)/.tests
	$(SITE) build --strict
	@echo "Open build/site/index.html, or serve the folder: its search needs http."

docs-serve: $(VENV)/.tests
	$(SITE) serve $(ARGS)

bench: $(VENV)/.tests
	$(BIN)/python -m bench $(ARGS)

clean:
	rm -rf $(VENV) ui/node_modules tests/clients/js/node_modules tests/clients/java tusd_server/web/page build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(PAGE): $(PAGE_SOURCES)
	@./ui/build $(BIN)/python
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tusd-server needs Python 3.11 or newer; name one with `make PYTHON=python3.11`.")'
	@$(PYTHON) -m venv $(VENV) || { echo "The virtual environment could not be made; install python3-venv."; exit 1; }

$(VENV)/.runs: $(VENV)/bin/python setup.cfg pyproject.toml
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.tests: $(VENV)/bin/python setup.cfg pyproject.toml
	@echo "Installing into $(VENV), with what the tests need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,postgres]'
	@touch $@ $(VENV)/.runs
