# Everything runs in a virtual environment of its own. A machine needs Python 3.11, 3.12 or 3.13: the
# newest of them makes it, or any other by PYTHON=... A name may be there and not run (pyenv's).
FITS := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
fitting = $(foreach name,$(1),$(shell $(name) -c '$(FITS)' 2>/dev/null && echo $(name)))
PYTHONS = $(call fitting,python3.13 python3.12 python3.11)
PYTHON ?= $(firstword $(PYTHONS) $(call fitting,python3))
# A version of JAX to install instead of the newest.
JAX ?=
OLDEST_JAX := $(shell sed -n 's/^ *jax>=//p' setup.cfg)
VENV ?= .venv
BIN := $(VENV)/bin
WORKDIR ?= workdir/shapes

.PHONY: demo test test-matrix test-slow parity faults tpu-check gpu-check docs notebooks quickstart lint clean

define check-python
@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.13 is needed: install one of them, with its module" \
	"venv (python3-venv in Debian), or name yours, make $(or $(MAKECMDGOALS),demo) PYTHON=..." >&2; exit 1; }
endef

demo: $(VENV)/.installed  ## the whole road on the embedded data; see $(WORKDIR)/report.html
	$(BIN)/python -m experiments.train --workdir=$(WORKDIR)

test: $(VENV)/.installed  ## the fast tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-matrix:  ## the fast tests by every Python that is there, with the oldest and the newest JAX
	$(check-python)
	for python in $(PYTHONS); do for jax in $(OLDEST_JAX) ""; do \
		$(MAKE) test PYTHON=$$python JAX=$$jax VENV=.venv-matrix/$$python-$${jax:-newest} || exit 1; \
	done; done

test-slow: $(VENV)/.installed  ## parity with torch, real photos, a browser
	$(BIN)/pip install -q -e .[weights,test,torch,browser]
	$(BIN)/python -m pytest -m slow

parity: $(VENV)/.installed  ## every stage against the published numbers, as a table
	$(BIN)/python -m pytest -m parity

faults: $(VENV)/.installed  ## docs/faults.md, the table of inputs and faults, from the tests
	$(BIN)/python -m pytest --collect-only -q --faults=docs/faults.md

tpu-check: $(VENV)-tpu/.installed  ## every program compiled for a TPU v5e, which need not be there
	JAX_PLATFORMS=cpu $(VENV)-tpu/bin/python -m experiments.tpu_check --json=workdir/tpu_check.json

gpu-check: $(VENV)-gpu/.installed  ## every program compiled for an NVIDIA H100, which need not be there
	JAX_PLATFORMS=cpu $(VENV)-gpu/bin/python -m experiments.gpu_check --json=workdir/gpu_check.json

docs: $(VENV)/.documented  ## the site, in site/; a broken link or name is an error
	$(BIN)/python -m wsgcn_jax.settings docs/configuration.md
	$(BIN)/mkdocs build --strict
	$(BIN)/python -m pytest tests/docs_test.py

NOTEBOOKS := $(wildcard notebooks/*.py)
notebooks: $(VENV)/.documented  ## runs them from top to bottom; results in workdir/notebooks
	for each in $(NOTEBOOKS); do $(run-notebook) || exit 1; done

quickstart: $(VENV)/.documented  ## runs that notebook only
	each=notebooks/quickstart.py; $(run-notebook)

# The text is the source; the .ipynb beside it is made of it, without outputs.
define run-notebook
mkdir -p workdir/notebooks && $(BIN)/jupytext --quiet --to ipynb $$each && \
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/jupytext --quiet --to ipynb --execute \
	-o workdir/notebooks/$$(basename $$each .py).ipynb $$each
endef

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.installed: setup.cfg pyproject.toml
	$(check-python)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e .[weights,test] $(JAX:%=jax==%)
	touch $@

$(VENV)/.documented: $(VENV)/.installed
	$(BIN)/pip install -q -e .[weights,test,docs,notebooks]
	touch $@

# In environments of their own: such a JAX looks for a TPU or GPU.
$(VENV)-tpu/.installed $(VENV)-gpu/.installed: $(VENV)-%/.installed: setup.cfg pyproject.toml
	$(check-python)
	$(PYTHON) -m venv $(VENV)-$*
	$(VENV)-$*/bin/pip install -q -e .[$*-check]
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-tpu $(VENV)-gpu .venv-matrix workdir
