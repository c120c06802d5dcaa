PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test golden bench

demo: $(VENV)/.demo weights/demo/model.gguf
	@PATH="$(CURDIR)/$(BIN):$$PATH" tests/demo.sh

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck start.sh tests/demo.sh .ci/run
	$(BIN)/python -m pytest

# Hours on a CPU without AVX-512; `python -m bench --help` has smaller work. Set LLAMA_SERVER_BIN.
bench: $(VENV)/.dev
	$(BIN)/python -m bench $(BENCH)

# The reference scores; needs about 1 GB for torch.
golden: $(VENV)-golden/.done
	$(VENV)-golden/bin/python -m tests.golden.make

weights/demo/model.gguf: tests/tiny_model.py models/export.py | $(VENV)/.demo
	$(BIN)/python -m tests.tiny_model weights/demo

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: requirements.txt requirements-demo.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-demo.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-demo.txt requirements-dev.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(VENV)-golden/.done: requirements-golden.txt
	$(PYTHON) -m venv $(VENV)-golden
	$(VENV)-golden/bin/pip install --quiet --disable-pip-version-check -r requirements-golden.txt
	@touch $@
