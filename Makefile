# Five commands: install serve test check train. CI runs the same ones.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PIP := $(INSTALL) -c constraints.txt
LOCKED := --require-hashes -r requirements/build.lock -r requirements/service-cpu.lock
TOOLS := .venv-tools/bin

.PHONY: help install serve test test-slow screenshots check format train benchmark benchmark-more image-test drill lock audit sbom clean

help:
	@echo "make serve       serve the versions in models/ on http://127.0.0.1:$(PORT)  (PORT=…)"
	@echo "make test        the test suite            make test-slow   what takes minutes or wants the public data"
	@echo "make check       lint, types, import rules  make format      mend what can be mended"
	@echo "make screenshots every page, light and dark, wide and narrow, in build/screenshots"
	@echo "make train       train the shipped digits    make benchmark   speed beside its peers (-more: the rest)"
	@echo "make image-test  build the image without a daemon and ask it for a prediction"
	@echo "make drill       hurt the service in every way there is, and print the figures"
	@echo "make audit       known vulnerabilities of what the service runs on (asks an advisory service)"
	@echo "make sbom        its bill of materials, in build/sbom.json    make lock   requirements/*.lock anew"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Modelyard needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (choose another with PYTHON=…)")'
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# the service alone, without torch: seconds. Only files whose digests are known are installed.
$(VENV)/.serve: pyproject.toml requirements/build.lock requirements/service-cpu.lock | $(BIN)/python
	@echo "installing the service"
	@$(INSTALL) $(LOCKED)
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

# everything
$(VENV)/.all: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the service, training and the tools"
	@$(PIP) -e '.[cpu,train,search,remote,ray,dev]'
	@touch $@ $(VENV)/.serve

# KServe's client, for one test: its many dependencies do not go together with ours. Without it that test is skipped.
.venv-kserve/.all: | $(BIN)/python
	@echo "installing KServe's client"
	@$(PYTHON) -m venv .venv-kserve
	@.venv-kserve/bin/python -m pip install --quiet --disable-pip-version-check kserve==0.21.0 && touch $@ || true

# what is used now and then, apart from what is tested
.venv-tools/.all: requirements/tools.txt | $(BIN)/python
	@echo "installing uv and pip-audit"
	@$(PYTHON) -m venv .venv-tools
	@$(TOOLS)/python -m pip install --quiet --disable-pip-version-check -r requirements/tools.txt
	@touch $@

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

drill: $(VENV)/.all
	$(BIN)/python -m tests.drills --write

# from pyproject.toml, at constraints.txt's versions, for every platform and Python that there are files for
COMPILE := $(TOOLS)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock"
lock: .venv-tools/.all
	$(COMPILE) requirements/build.in -o requirements/build.lock
	$(COMPILE) pyproject.toml -c constraints.txt --extra cpu -o requirements/service-cpu.lock
	$(COMPILE) pyproject.toml -c constraints.txt --extra gpu -o requirements/service-gpu.lock

# --strict: a package that the advisory service was not asked about is a failure, not a pass
audit: .venv-tools/.all
	@for lock in cpu gpu; do $(TOOLS)/pip-audit --strict --disable-pip --require-hashes -r requirements/service-$$lock.lock \
	  || { echo "make audit: not passed: something above is vulnerable, or the advisory service could not be asked" >&2; exit 1; }; done

sbom: $(VENV)/.all
	@mkdir -p build
	$(BIN)/python -m cyclonedx_py requirements --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json requirements/service-cpu.lock

image-test:
	tests/image/run.sh

clean:
	rm -rf $(VENV) .venv-kserve .venv-tools build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
