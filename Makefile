# Five commands: install serve test check train. CI runs the same ones.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help install serve test test-slow screenshots check format train benchmark benchmark-more image-test clean

help:
	@echo "make serve       serve the versions in models/ on http://127.0.0.1:$(PORT)  (PORT=…)"
	@echo "make test        the test suite            make test-slow   what takes minutes or wants the public data"
	@echo "make check       lint, types, import rules  make format      mend what can be mended"
	@echo "make screenshots every page, light and dark, wide and narrow, in build/screenshots"
	@echo "make train       train the shipped digits    make benchmark   speed beside its peers (-more: the rest)"
	@echo "make image-test  build the image without a daemon and ask it for a prediction"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Modelyard needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (choose another with PYTHON=…)")'
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# the service alone, without torch: seconds
$(VENV)/.serve: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the service"
	@$(PIP) -e '.[cpu]'
	@touch $@

# everything
$(VENV)/.all: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the service, training and the tools"
	@$(PIP) -e '.[cpu,train,dev]'
	@touch $@ $(VENV)/.serve

# KServe's client, for one test: its many dependencies do not go together with ours. Without it that test is skipped.
.venv-kserve/.all: | $(BIN)/python
	@echo "installing KServe's client"
	@$(PYTHON) -m venv .venv-kserve
	@.venv-kserve/bin/python -m pip install --quiet --disable-pip-version-check kserve==0.21.0 && touch $@ || true

install: $(VENV)/.all

serve: $(VENV)/.serve
	@MODELYARD_PORT=$(PORT) exec $(BIN)/python -m service

test: $(VENV)/.all .venv-kserve/.all
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(VENV)/.all
	$(BIN)/python -m pytest -m slow

screenshots: $(VENV)/.all
	$(BIN)/python -m pytest -q -m slow tests/service/web
	@ls build/screenshots

check: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

train: $(VENV)/.all
	$(BIN)/python -m training train classifier

benchmark: $(VENV)/.all
	$(BIN)/python benchmarks/side_by_side.py

benchmark-more: $(VENV)/.all
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/runtimes.py
	$(BIN)/python benchmarks/serving.py
	$(BIN)/python benchmarks/epochs.py
	$(BIN)/python benchmarks/epochs.py texts
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/forecasting.py
	$(BIN)/python benchmarks/words.py
	$(BIN)/python benchmarks/tensors.py
	$(BIN)/python benchmarks/reloading.py --every 10 --seconds 10

image-test:
	tests/image/run.sh

clean:
	rm -rf $(VENV) .venv-kserve build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
