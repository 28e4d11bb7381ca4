# One virtual environment, two commands: `make study` and `make test`.
PYTHON ?= python3
VENV ?= .venv
OUT ?= runs/quickstart
SEED ?= 0

BIN := $(VENV)/bin
LINE := $(shell $(PYTHON) -c 'import sys; print("py311" if sys.version_info < (3, 12) else "py312")')
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints/$(LINE).txt
STUDY := quickstart --set seed=$(SEED) --out $(OUT)

.PHONY: study picture test test-slow test-gpu test-tpu test-tpu-aot lint docs gallery notebooks benchmark clean

# Trains the ladder, writes the prediction down, trains the held-out runs, compares. Interrupt it
# at any time; the same command goes on.
study: $(VENV)/.installed
	@$(BIN)/windtunnel run $(STUDY)
	@$(BIN)/windtunnel predict $(OUT)
	@$(BIN)/windtunnel run $(STUDY) --part held_out
	@$(BIN)/windtunnel report $(OUT)

# Draws the first picture of the README again, from the runs of a study.
picture: study
	cp $(OUT)/figures/ladder.png docs/ladder.png

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder --durations=25

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder --durations=25 -m slow

test-gpu: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m gpu

test-tpu: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m tpu

# Compiles for TPUs on a machine that has none; the first call installs libtpu, 700 MB.
test-tpu-aot: $(VENV)/.installed-tpu
	$(BIN)/python -m pytest -m tpu_aot

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Draws the published figures of the site again, from the released tables.
gallery: $(VENV)/.installed
	$(BIN)/windtunnel figure --all --out docs/gallery
	rm docs/gallery/*.png docs/gallery/*.csv docs/gallery/*.txt

# Runs the notebooks again and stores their outputs.
notebooks: $(VENV)/.installed-dev
	$(BIN)/jupyter nbconvert --execute --inplace analysis/notebooks/*.ipynb

# The site, in build/site; open build/site/index.html.
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

benchmark: $(VENV)/.installed
	$(BIN)/python benchmarks/train_step.py

clean:
	rm -rf $(VENV) build *.egg-info

$(VENV)/bin/python:
	@echo "setting up $(VENV) (about a minute, once)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints/$(LINE).txt
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml constraints/$(LINE).txt
	@$(PIP) -e '.[dev]'
	@touch $(VENV)/.installed $@

$(VENV)/.installed-tpu: $(VENV)/.installed-dev
	@$(PIP) -e '.[tpu]'
	@touch $@
