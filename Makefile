# Everything runs in a virtual environment of its own; Python 3.11 is all a machine needs.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
WORKDIR ?= workdir/shapes

.PHONY: demo test test-slow parity tpu-check lint clean
demo: $(VENV)/.installed  ## the whole road on the embedded data; see $(WORKDIR)/report.html
	$(BIN)/python -m experiments.train --workdir=$(WORKDIR)

test: $(VENV)/.installed  ## the fast tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-slow: $(VENV)/.installed  ## parity with torch, real photos, a browser
	$(BIN)/pip install -q -e .[weights,test,torch,browser]
	$(BIN)/python -m pytest -m slow

parity: $(VENV)/.installed  ## every stage against the published numbers, as a table
	$(BIN)/python -m pytest -m parity

tpu-check: $(VENV)-tpu/.installed  ## every program compiled for a TPU v5e, which need not be there
	JAX_PLATFORMS=cpu $(VENV)-tpu/bin/python -m experiments.tpu_check --json=workdir/tpu_check.json

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e .[weights,test]
	touch $@

# In an environment of its own: this JAX looks for a TPU.
$(VENV)-tpu/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)-tpu
	$(VENV)-tpu/bin/pip install -q -e .[tpu-check]
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-tpu workdir
