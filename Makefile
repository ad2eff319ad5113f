# `make demo` and `make test` need nothing but Python 3.11+ with venv; both make .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup tests
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test test-full coverage check bench docs clean

# Installed once for this pyproject.toml: a second run goes straight to work.
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --editable '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/dermdata --cache .demo/cache demo --output .demo/out

test: $(STAMP) check
	$(PYTEST)

# every picture of every mirrored dataset, and each picture of the demo drawn anew: before a release
test-full: $(STAMP) check
	DERMDATA_TEST_FULL=1 $(PYTEST)

# takes twice as long as `make test`; fails below the share that pyproject.toml names
coverage: $(STAMP)
	$(PYTEST) --cov --cov-report=term:skip-covered

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks
	$(BIN)/lint-imports

# `make bench QUICK=1`: few rounds on little data, under five minutes
bench: $(STAMP)
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick) $(if $(COHORT),--cohort $(COHORT))

docs: $(STAMP)
	$(BIN)/python scripts/make_docs.py

clean:
	rm -rf $(VENV) .demo dist build .pytest_cache .mypy_cache .ruff_cache .coverage*
