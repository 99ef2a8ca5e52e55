# On a fresh machine with Python 3.11 or newer, `make lab` and `make test` need nothing else.
# Everything lives in .venv; pysklnb itself is installed there in editable form.

PYTHON ?= python3
BIN := .venv/bin

# In a container one is often root, and JupyterLab wants to be told that this is meant.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

NEW_VENV = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	"pysklnb needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] + \
	". Name a newer one: make PYTHON=python3.12 ...")' && $(PYTHON) -m venv --clear

.DEFAULT_GOAL := help
.PHONY: help lab test unit notebook-test lint types notebooks bench-open bench-validate bench-decompress \
	bench-kpfiles test-oldest miniatures lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lab: .venv/.installed ## open JupyterLab at the first notebook
	$(BIN)/jupyter lab $(AS_ROOT) --ServerApp.root_dir=notebooks \
		--LabApp.default_url=/lab/tree/00_start_here.ipynb

test: unit notebook-test ## run everything: unit tests, docstring examples, all notebooks

unit: .venv/.installed ## unit tests and docstring examples
	$(BIN)/pytest

notebook-test: .venv/.installed ## run all notebooks, compare every output with the stored one
	$(BIN)/pytest --nbval --nbval-current-env --nbval-cell-timeout=60 \
		--nbval-sanitize-with=notebooks/nbval-sanitize.cfg notebooks

lint: .venv/.installed ## style of code and notebooks
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.installed ## static types of the package
	$(BIN)/mypy

notebooks: .venv/.installed ## execute all notebooks and store them cleanly
	$(BIN)/python tools/make_notebooks.py

bench-open: .venv/.installed ## time the opening of a file as big as NTU60's
	$(BIN)/python benchmarks/bench_open.py

bench-validate: .venv/.installed ## time the validation of a file as big as NTU60's
	$(BIN)/python benchmarks/bench_validate.py

bench-decompress: .venv/.installed ## time decompress against a plain loop
	$(BIN)/python benchmarks/bench_decompress.py

bench-kpfiles: .venv/.installed ## time an index and a kpfile as big as those of Kinetics
	$(BIN)/python benchmarks/bench_kpfiles.py

# Notebooks are for the locked versions. Old versions of matplotlib and pandas call what was deprecated
# after they were made: a DeprecationWarning is shown here, any other warning is an error as always.
test-oldest: ## unit tests on the lowest versions that pyproject.toml allows
	$(NEW_VENV) .venv-oldest
	PIP_CONSTRAINT=constraints.txt .venv-oldest/bin/pip install --quiet uv
	.venv-oldest/bin/uv pip install --quiet --python .venv-oldest/bin/python \
		--resolution lowest-direct --build-constraint constraints.txt -e '.[memcached,test]'
	.venv-oldest/bin/pytest -W default::DeprecationWarning --ignore=tests/test_notebooks.py

miniatures: .venv/.installed ## make the bundled files anew
	$(BIN)/python tools/make_miniatures.py

lock: .venv/.installed ## renew constraints.txt
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --upgrade \
		--no-header --no-annotate --quiet -o constraints.txt

clean: ## remove the environments and all caches
	rm -rf .venv .venv-oldest .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

# uv takes seconds where pip takes a minute; where uv cannot be had, pip does the same.
# PIP_CONSTRAINT also reaches the isolated environment in which pip builds pysklnb.
.venv/.installed: pyproject.toml constraints.txt
	@$(NEW_VENV) .venv
	@export PIP_CONSTRAINT=constraints.txt; \
	if $(BIN)/pip install --quiet uv; then \
		$(BIN)/uv pip install --quiet --python $(BIN)/python \
			--constraint constraints.txt --build-constraint constraints.txt -e '.[dev]'; \
	else \
		$(BIN)/pip install --quiet -e '.[dev]'; \
	fi
	@touch $@
