# The two commands of the README. Both make a virtual environment in .venv and install into it. With another
# Python: make test PYTHON=python3.12 VENV=.venv312
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# An unconstrained torch resolves to the build with GPU libraries; constraints.txt names one version.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-quick test-data coverage lint types examples docs clean

demo: $(VENV)/.installed
	$(BIN)/l0bayes demo

# One process a core; the tensors are tiny, so that more threads would only wait for one another.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest
PARALLEL := --numprocesses auto --dist worksteal

# make test COVERAGE=1 also counts the lines that ran, and fails below the share that pyproject.toml names.
test: $(VENV)/.installed-test
	$(PYTEST) $(PARALLEL) -m "not examples" $(if $(COVERAGE),--cov --cov-report term:skip-covered)

# Without the slow tests: about a quarter of the time.
test-quick: $(VENV)/.installed-test
	$(PYTEST) $(PARALLEL) -m "not slow and not examples"

# Only what needs the data sets that are not in the repository.
test-data: $(VENV)/.installed-test
	$(PYTEST) -m data

coverage:
	$(MAKE) test COVERAGE=1

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

docs: $(VENV)/.installed-dev examples
	$(BIN)/sphinx-build --fail-on-warning --keep-going --builder html docs docs/_build/html

# Every block of Python in README.md and docs/ runs, and prints what the page says it prints.
examples: $(VENV)/.installed-test
	$(PYTEST) $(PARALLEL) -m examples

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch goes first and alone, so that a resolver never looks at its newest build.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) torch
	$(PIP_INSTALL) --editable ".[cli,select,network]"
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP_INSTALL) --editable ".[test]"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-test
	$(PIP_INSTALL) --editable ".[test,lint,docs]"
	touch $@

clean:
	rm -rf $(VENV) build dist docs/_build demo-output *.egg-info
