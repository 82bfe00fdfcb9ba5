# make repro   from nothing to a scored model
# make test    the test suite          make lint   style and types
#              make test-fast: in three minutes, without what is slow
#              make test-thorough: kills, clusters and odd places, which make test leaves out
#              (pytest's own options: make test ARGS='-k "resume"')
# make extras  what Ray, Slurm, S3 and faiss want; their tests are skipped without it
# make bench   every speed claim against its baseline, in twenty minutes
# make clean   remove .venv, caches and everything that DVC made here
#
# Any of them sets up .venv first, once: again only when requirements.txt or pyproject.toml changes.
# In there is the command storycache, too: .venv/bin/storycache --help

PYTHON ?= python3
READY := .venv/.ready
VENV := PATH="$(CURDIR)/.venv/bin:$$PATH" PYTHONNOUSERSITE=1

.PHONY: repro test test-fast test-thorough lint extras bench clean
.DELETE_ON_ERROR:

repro: $(READY)
	@$(VENV) python -m pipeline.repository.after_kill
	@$(VENV) dvc repro
	@echo "Scores, committed and here:"
	@$(VENV) dvc metrics diff --all --targets metrics.json

test: $(READY)
	@$(VENV) python -m pytest -n 2 --dist loadgroup $(ARGS)

test-fast: $(READY)
	@$(VENV) python -m pytest -n 2 --dist loadgroup -m "not slow and not thorough" $(ARGS)

test-thorough: $(READY)
	@$(VENV) python -m pytest -n 2 --dist loadgroup -m thorough $(ARGS)

lint: $(READY)
	@$(VENV) ruff check .
	@$(VENV) ruff format --check .
	@$(VENV) storycache deps --check --quiet
	@$(VENV) mypy

extras: $(READY)
	@$(VENV) python -m pip install --quiet --disable-pip-version-check \
	  -r requirements.txt -r requirements-extras.txt

bench: $(READY)
	@$(VENV) python -m benchmarks

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("error: Python 3.11 or newer is needed, and $(PYTHON) is " \
	  + sys.version.split()[0] + "; name another one: make PYTHON=python3.12" \
	  if sys.version_info < (3, 11) else 0)'
	@echo "Setting up .venv (once; some minutes)"
	@$(PYTHON) -m venv .venv
	@$(VENV) python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(VENV) python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf data/raw data/stories data/features data/models data/live data/captions data/eval data/report data/model_card.md
	rm -rf .dvc/cache .dvc/tmp dvc_plots
	rm -f data/.*.lock .*.lock dvc.lock.broken
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
