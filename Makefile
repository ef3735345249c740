# The two commands: `make run` starts the app, `make test` proves that it works. Both set everything up first.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# $(call install,ENVIRONMENT,WHAT): compiled on all processors, of which pip uses one, but for what is hardly ever used.
# Some packages hold templates that are no Python.
install = $(1)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check $(2) && \
	{ $(1)/bin/python -m compileall -qq -j 0 -x '/(tests|transformers)/' $(1)/lib || true; }
# Options for app.py or pytest: make run ARGS="--port 8000", make test ARGS="-k windows"
ARGS ?=

# The Pythons that Verbatim runs on.
PYTHONS = 3.11 3.12 3.13

.PHONY: run test test-long test-training test-pythons tests quick-tests format check chromium

run: $(VENV)/app.installed
	@$(BIN)/python app.py $(ARGS)

# Tests wait a lot; types are checked meanwhile.
test: $(VENV)/dev.installed chromium
	@$(MAKE) --no-print-directory --jobs=2 check tests

tests: $(VENV)/dev.installed
	@$(BIN)/python -m pytest -m "not long" -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: $(VENV)/dev.installed chromium test-training
	@$(BIN)/python -m pytest -m long -o faulthandler_timeout=3600 $(ARGS)

# The quick tests that need no browser, under each of these Pythons that is found here.
test-pythons:
	@for version in $(PYTHONS); do \
		if python$$version -c '' 2>/dev/null; then \
			$(MAKE) --no-print-directory quick-tests PYTHON=python$$version VENV=.venv-$$version || exit 1; \
		else \
			echo "There is no python$$version here: not tested."; \
		fi; \
	done

quick-tests: $(VENV)/dev.installed
	@$(BIN)/python -VV
	@$(BIN)/python -m pytest -q -m "not long and not browser" $(ARGS)

# What training needs (torch, large) stays out of the app's environment.
test-training: .venv-training/installed
	@.venv-training/bin/python -m pytest tests/training

format: $(VENV)/dev.installed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

check: $(VENV)/dev.installed
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

$(VENV)/app.installed: requirements.txt | $(BIN)/python
	@echo "Setting up $(VENV): some minutes, only this once."
	@$(call install,$(VENV),-r requirements.txt)
	@touch $@

$(VENV)/dev.installed: requirements.txt requirements-dev.txt | $(BIN)/python
	@echo "Setting up $(VENV): some minutes, only this once."
	@$(call install,$(VENV),-r requirements-dev.txt)
	@touch $@ $(VENV)/app.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo "Verbatim needs Python 3.11, 3.12 or 3.13: install one, or name it (make $(MAKECMDGOALS) PYTHON=python3.12)."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); echo "Python cannot make virtual environments here: install its venv module (Debian: apt install python3-venv)."; exit 1; }

.venv-training/installed: training/requirements.txt requirements-dev.txt
	@$(PYTHON) -m venv .venv-training
	@$(call install,.venv-training,-r training/requirements.txt -r requirements-dev.txt)
	@touch $@

chromium:
	@for name in chromium chromium-browser google-chrome chrome; do command -v $$name >/dev/null && exit 0; done; { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get -qq update && apt-get -qq install -y chromium >/dev/null; } || { \
		echo "The browser tests need Chromium: install it (Debian: apt install chromium)."; exit 1; }
