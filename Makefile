# The two commands of the README, each with its whole set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two processes of one thread each take little more than half of the time that one takes.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal
# pip compiles one file after another; this uses all cores. Left out are files of which none or only a few are ever imported: the
# packages' own tests, the networks of transformers, most of Ray, mypy and pip. Templates that end in .py cannot be compiled, which is not
# an error here.
INSTALL := $(BIN)/pip install --quiet --no-compile
SELDOM := /tests?/|/transformers/models/|/ray/(data|llm|rllib|serve|train|tune)/|/site-packages/(mypy|mypyc|pip)/
COMPILE := $(BIN)/python -m compileall -q -j 0 -x '$(SELDOM)' $(VENV)/lib src > /dev/null 2>&1 || true

.PHONY: demo test quick harden fuzz check docs clean

# torch and torchvision have to match, so the pair that is tested together is named in one place.
$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "maskstack needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: $(BIN)/python pyproject.toml requirements/torch.txt
	$(INSTALL) -r requirements/torch.txt
	$(INSTALL) -e '.[demo]'
	$(COMPILE)
	touch $@

# It does not wait for the smaller set-up, which would look for everything twice.
$(VENV)/dev.stamp: $(BIN)/python pyproject.toml requirements/torch.txt
	$(INSTALL) -r requirements/torch.txt -e '.[dev]'
	$(COMPILE)
	touch $(VENV)/demo.stamp $@

demo: $(VENV)/demo.stamp
	$(BIN)/python examples/demo.py out/demo

test: $(VENV)/dev.stamp
	$(PYTEST)

# All tests but those marked slow.
quick: $(VENV)/dev.stamp
	$(PYTEST) -m "not slow"

# The generated tests of damage, kills, names, code in data and the page, with large counts; HARDEN_SHARE=0.1 runs a tenth.
HARDEN_SHARE ?= 1
harden: $(VENV)/dev.stamp
	MASKSTACK_HARDEN=1 MASKSTACK_HARDEN_SHARE=$(HARDEN_SHARE) $(BIN)/python -m pytest tests/hardening -n 2 --dist worksteal

# Random image files and outputs of networks for MINUTES minutes, in one process; it prints how many were tried.
MINUTES ?= 10
fuzz: $(VENV)/dev.stamp
	MASKSTACK_FUZZ_MINUTES=$(MINUTES) $(BIN)/python -m pytest tests/hardening/test_fuzz.py -q

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/dev.stamp
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) out site
