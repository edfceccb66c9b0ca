# Every target sets up what it needs: with Python 3.11 to 3.13 and make, nothing has to be done first.
#
#   make quickstart PYTHON=python3.12     use another interpreter for the virtual environment
#   make test PYTEST_ARGS="-k attention"  arguments for pytest
#   make test TEST_PROCESSES=1            one test after the other

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
TEST_PROCESSES ?= 2

BIN := $(VENV)/bin
RUN := $(BIN)/python

# The suite runs in two halves: a process keeps what its tests traced, which is ten gigabytes in the
# end. A file that PYTEST_ARGS name is collected in spite of --ignore, hence --deselect. Status 5 says
# that nothing of a half is left.
LARGER_HALF := tests/bin tests/serving tests/training
OTHER_HALF := $(filter-out $(LARGER_HALF),$(patsubst %/,%,$(wildcard tests/*/)) $(wildcard tests/test_*.py))
run_tests_without = $(RUN) -m pytest --numprocesses=$(TEST_PROCESSES) --dist=loadfile $(foreach path,$(1),--ignore=$(path) --deselect=$(path)) $(PYTEST_ARGS) || [ $$? -eq 5 ]

.PHONY: help quickstart test lint docs clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

quickstart: $(VENV)/.installed-quickstart ## train, compare and export a model on OpenMoji pictures (offline encoders)
	$(RUN) -m tatl_keras.bin.quickstart

test: $(VENV)/.installed-dev ## ruff and the test suite
	$(RUN) -m ruff check .
	$(call run_tests_without,$(LARGER_HALF))
	$(call run_tests_without,$(OTHER_HALF))

lint: $(VENV)/.installed-dev ## ruff, flake8 and mypy
	$(RUN) -m ruff check .
	$(RUN) -m flake8
	$(RUN) -m mypy

docs: $(VENV)/.installed-dev ## write the model cards, flagfiles and the table under zoo/ again
	$(RUN) -m tatl_keras.zoo.cards

clean: ## remove the virtual environment, build outputs and caches
	rm -rf $(VENV) build dist runs *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp per set of extras: installing happens again only when a packaging file has changed.
$(VENV)/.installed-%: setup.cfg pyproject.toml | $(RUN)
	@echo "Installing tatl_keras[$*] into $(VENV) (some minutes and about 3 GB the first time) ..."
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@

$(RUN):
	@command -v $(PYTHON) >/dev/null || { \
	  echo "error: '$(PYTHON)' not found. Install Python 3.11, 3.12 or 3.13, or name one:" \
	    "make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "error: '$(PYTHON)' is $$($(PYTHON) --version 2>&1); Keras and TensorFlow need Python" \
	    "3.11, 3.12 or 3.13. Install one and name it: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || $(PYTHON) -m virtualenv --quiet $(VENV) || { rm -rf $(VENV); \
	  echo "error: '$(PYTHON) -m venv' failed. On Debian and Ubuntu: apt-get install python3-venv." \
	    "Elsewhere: $(PYTHON) -m pip install virtualenv" >&2; exit 1; }
