PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test screenshot test-container golden train bench

demo: $(VENV)/.demo
	@PATH="$(CURDIR)/$(BIN):$$PATH" tests/demo.sh

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck start.sh tests/demo.sh tests/container/*.sh bench/gpu.sh .ci/run
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m pytest

# The picture of the page in the README; the demo must be up.
screenshot: $(VENV)/.dev
	$(BIN)/python -m tests.screenshot docs/playground.png http://127.0.0.1:7998

# In a Docker engine, started if none runs (as root); ends with "Error 77" where none can.
test-container: $(VENV)/.dev
	tests/container/run.sh

# Hours on a CPU without AVX-512; `python -m bench --help` has smaller work. Set LLAMA_SERVER_BIN.
bench: $(VENV)-torch/.done
	$(VENV)-torch/bin/python -m bench $(BENCH)

# The reference scores.
golden: $(VENV)-torch/.done
	$(VENV)-torch/bin/python -m tests.golden.make

# The demo model, from scratch: weights/demo.
train: $(VENV)-torch/.done
	$(VENV)-torch/bin/python -m training $(TRAIN)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: requirements.txt requirements-demo.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-demo.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-demo.txt requirements-dev.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# About a gigabyte: torch and transformers.
$(VENV)-torch/.done: requirements.txt requirements-demo.txt requirements-dev.txt requirements-torch.txt
	$(PYTHON) -m venv $(VENV)-torch
	$(VENV)-torch/bin/pip install --quiet --disable-pip-version-check -r requirements-torch.txt
	@touch $@
