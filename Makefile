PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# All the image's packages by hash, then what else a target needs.
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.10 --generate-hashes --no-annotate \
  --custom-compile-command "make lock"
LOCKED := $(PIP) --require-hashes -r requirements.lock

# Tests that start no service.
UNIT := $(addprefix tests/,test_blocks.py test_docs.py test_docstrings.py test_embedding_readout.py \
  test_files.py test_gguf_header.py test_lock.py test_nfc.py test_projector.py test_requirements.py \
  test_settings.py evaluate/test_measures.py evaluate/test_calibration.py test_blend.py \
  test_calibration.py test_chart.py)

.PHONY: demo check fix lint test coverage image lock audit soak screenshot evaluate test-container
.PHONY: golden train bench clients
.PHONY: demo-packages test-packages

demo: demo-packages $(VENV)/.demo
	@PATH="$(CURDIR)/$(BIN):$$PATH" toolkit/demo.sh

# PYTEST=… adds options, such as PYTEST=--durations=25. What fails while tests share the machine
# gets a second try alone, and both are told.
test: test-packages lint
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m pytest -n logical --dist loadfile --cache-clear $(PYTEST) || \
	  { echo "Once more, alone:"; \
	    $(BIN)/python -m pytest -v --last-failed --last-failed-no-failures none; }

# All tests again, half as long once more, and which lines and branches they take, in the services
# that they start too; fails below what pyproject.toml states.
coverage: test-packages $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n logical --dist loadfile $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered

# Seconds: what can be said of a change without a service.
check: lint
	$(BIN)/python -m pytest -n logical $(UNIT) $(PYTEST)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck -x start.sh sidecar/*.sh toolkit/demo.sh tests/container/*.sh tests/packages.sh \
	  bench/gpu.sh .ci/run

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The image with its labels of revision and source. BUILD=… adds options of docker build.
IMAGE ?= jina-reranker
image:
	source=$$(git remote get-url origin | sed -E 's#//[^/@]*@#//#'); \
	docker build --tag "$(IMAGE)" $(BUILD) --build-arg SOURCE="$${source:-unknown}" \
	  --build-arg REVISION="$$(git describe --always --dirty --abbrev=40 --exclude '*')" .

# The picture of the page in the README; the demo must be up.
screenshot: $(VENV)/.dev
	$(BIN)/python -m toolkit.screenshot docs/playground.png http://127.0.0.1:7998

# Does the demo rank better? On its held-out data and the memories of an assistant, which
# `python -m toolkit.memories` makes; tables, reports below evaluation/, a picture.
evaluate: test-packages $(VENV)/.dev
	$(BIN)/python -m toolkit.evaluation evaluation docs/evaluation.png

# Load, faults and half an hour of mixed traffic; writes docs/reliability.md.
soak: $(VENV)/.dev
	$(BIN)/python -m tests.reliability.load
	$(BIN)/python -m tests.reliability.faults
	$(BIN)/python -m tests.reliability.soak --minutes 30
	$(BIN)/python -m tests.reliability.neighbours
	$(BIN)/python -m tests.reliability.document

# Every client that people have, against the demo; writes the table of docs/clients.md. Gigabytes
# below .clients, and Node.js; CLIENTS=… runs those whose name or script holds a word.
clients: test-packages $(VENV)/.dev
	$(BIN)/python -m toolkit.clients $(CLIENTS)

# What the image installs, with hashes; with the packages of traces for who wants them.
lock: $(VENV)/.dev
	$(COMPILE) requirements.txt --output-file requirements.lock
	$(COMPILE) requirements-otlp.txt --constraint requirements.lock \
	  --output-file requirements-otlp.lock

# Known vulnerabilities in what the image installs; fails if PyPI cannot tell.
audit: $(VENV)/.dev
	$(BIN)/uv tool run pip-audit==2.10.1 --strict --disable-pip --require-hashes \
	  --requirement requirements.lock

# In a Docker engine, started if none runs (as root); ends with "Error 77" where none can.
test-container: $(VENV)/.dev
	tests/container/run.sh

# Hours on a CPU without AVX-512; `python -m bench --help` has smaller work. Set LLAMA_SERVER_BIN.
bench: $(VENV)-torch/.done
	$(VENV)-torch/bin/python -m bench $(BENCH)

# The reference scores.
golden: $(VENV)-torch/.done
	$(VENV)-torch/bin/python -m tests.golden.make
	$(VENV)-torch/bin/python -m tests.golden.make_pairs

# The demo model, from scratch: weights/demo.
train: $(VENV)-torch/.done
	$(VENV)-torch/bin/python -m training $(TRAIN)

# OpenMP (libgomp1) is the embedded llama-server's.
DEMO_PACKAGES := python3-venv curl libgomp1
demo-packages:
	@PYTHON=$(PYTHON) tests/packages.sh $(DEMO_PACKAGES)

test-packages:
	@PYTHON=$(PYTHON) tests/packages.sh $(DEMO_PACKAGES) chromium faketime systemd

$(BIN)/python: | demo-packages
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: requirements.txt requirements.lock requirements-demo.txt | $(BIN)/python
	$(LOCKED)
	$(PIP) -r requirements-demo.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements.lock requirements-demo.txt requirements-dev.txt \
  | $(BIN)/python
	$(LOCKED)
	$(PIP) -r requirements-dev.txt
	@touch $@

# About a gigabyte: torch and transformers.
$(VENV)-torch/.done: requirements.txt requirements-demo.txt requirements-dev.txt requirements-torch.txt
	$(PYTHON) -m venv $(VENV)-torch
	$(VENV)-torch/bin/pip install --quiet --disable-pip-version-check -r requirements-torch.txt
	@touch $@
