# One line per target: `make help`.

FLYWHEEL_HOME ?= ./.flywheel
UI ?= 1
PORT ?= 3000
PYTHON ?= python3

BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install run test check bench mutants peers sample lock clean FORCE

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(firstword $(MAKEFILE_LIST)) \
	    | while IFS='|' read -r target text; do printf '  make %-8s %s\n' "$$target" "$$text"; done
	@echo '  variables: FLYWHEEL_HOME=$(FLYWHEEL_HOME) UI=$(UI) PORT=$(PORT) PYTHON=$(PYTHON)'

install: $(INSTALLED) ## install all that is locked into .venv
	@:

# A venv holds its absolute path: one that was moved or copied is made anew.
ifneq ($(shell cat $(INSTALLED) 2>/dev/null),$(realpath .))
$(INSTALLED): FORCE
endif
FORCE:
$(INSTALLED): requirements.lock requirements-bootstrap.lock pyproject.toml setup.cfg scripts/install
	@PYTHON='$(PYTHON)' sh scripts/install

run: export FLYWHEEL_HOME := $(FLYWHEEL_HOME)
run: install ## run the flywheel, with its UI on PORT (UI=0: without)
	@exec $(BIN)/flywheel run --port $(PORT) $(if $(filter 0,$(UI)),--no-ui)

test: peers ## run all tests, with the real parts that can be had
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

check: install ## lint, formatting, types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/mypy scripts/peers

bench: peers ## time it: against nix, skopeo and crane as ratios, and with many builds
	@for each in benchmarks/*.py; do PYTHONPATH=. $(BIN)/python $$each || exit; done

mutants: install ## test the gate's tests with mutants: half an hour
	@sh scripts/mutants

peers: install ## install the real parts that tests use, as far as possible
	@$(BIN)/python scripts/peers

sample: install ## record the sample anew, with the real tools
	@$(BIN)/python scripts/record_sample.py

lock: install ## resolve the dependencies anew
	@UV_SYSTEM_CERTS=1 $(BIN)/uv pip compile pyproject.toml --extra pipeline --group dev --upgrade --universal \
	    --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock
	@UV_SYSTEM_CERTS=1 $(BIN)/uv pip compile pyproject.toml --group build --constraint requirements.lock --universal \
	    --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --output-file ci/requirements.lock

clean: ## remove the environment and all caches, but not FLYWHEEL_HOME
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
	find flywheel_assets flywheel_assets_tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
