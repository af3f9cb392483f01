# SPDX-License-Identifier: Apache-2.0
.PHONY: setup demo test lint clean
SHELL := /bin/bash
# make setup PYTHON=/path/to/python3.12 picks the interpreter.
export PYTHON

setup:
	@scripts/setup.sh

demo: setup
	@source env.sh && pamdi demo $(DEMO_ARGS)

lint: setup
	@source env.sh && ruff format --check . && ruff check . && python -m mypy

# Three workers share out the tests (test/conftest.py). Examples of PYTEST_ARGS: test/worker,
# -n 0 for one process, -k name; PAMDI_SWEEP=500 makes every random sweep try 500 cases.
test: lint
	@source env.sh && python -m pytest -n 3 $(PYTEST_ARGS)

clean:
	rm -rf .venv build install log demo_report .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
