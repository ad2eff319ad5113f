# `make demo` and `make test` need nothing but Python 3.11+ with venv; both make .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# unset: hundreds of processes would compile the program anew, each for itself
unexport PYTHONDONTWRITEBYTECODE
# Groups in the order of tests/conftest.py, not by how many tests they have. Three workers on two cores: each waits for
# files, servers and processes a fifth of its time
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder tests

# Each stamp is a layer of .venv, installed once for this pyproject.toml: what runs the program, what tests it,
# what builds the site. A second run goes straight to work.
RUNTIME := $(VENV)/.runtime
STAMP := $(VENV)/.installed
SITE := $(VENV)/.site

.PHONY: demo test test-full coverage check asserts bench docs clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): pyproject.toml | $(BIN)/python
	$(PIP) install --editable .
	touch $@

# uv needs a third of pip's time for so many packages. It takes no settings of pip's: where it cannot be had, or
# finds no packages, pip does the work.
$(STAMP): pyproject.toml | $(BIN)/python
	{ $(PIP) install uv && $(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]'; } \
		|| $(PIP) install --editable '.[dev]'
	touch $(RUNTIME) $@

$(SITE): pyproject.toml $(RUNTIME)
	$(PIP) install --editable '.[docs]'
	touch $@

demo: $(RUNTIME)
	$(BIN)/dermdata --cache .demo/cache demo --output .demo/out

test: $(STAMP)
	$(MAKE) --no-print-directory --jobs=2 check asserts
	$(PYTEST)

# every picture of every mirrored dataset, and each picture of the demo drawn anew: before a release
test-full: $(STAMP)
	$(MAKE) --no-print-directory --jobs=2 check asserts
	DERMDATA_TEST_FULL=1 $(PYTEST)

# beside mypy, which has one core: the tests as pytest rewrites them, compiled once and not by each worker for itself.
# What cannot be collected is told by the run itself
asserts: $(STAMP)
	-@$(BIN)/python -m pytest --collect-only -qq tests > /dev/null

# takes twice as long as `make test`; fails below the share that pyproject.toml names
coverage: $(STAMP)
	$(PYTEST) --cov --cov-report=term:skip-covered

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy dermdata benchmarks
	$(BIN)/lint-imports

# `make bench QUICK=1`: few rounds on little data, under five minutes
bench: $(STAMP)
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick) $(if $(COHORT),--cohort $(COHORT))

# the generated pages, and all of them as a site in site/; a link or an anchor that leads nowhere ends it. No `--quiet`:
# it silences the warnings that `--strict` counts
docs: $(SITE)
	$(BIN)/python scripts/make_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) .demo dist build site .pytest_cache .mypy_cache .ruff_cache .coverage*
