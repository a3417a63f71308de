# make demo: the main job on the pictures in examples/.   make test: the whole suite.
# Both set up .venv first (once) by plain pip; PYTHON=python3.12 chooses another interpreter (3.10 to 3.13).
PYTHON ?= python3
BIN = .venv/bin
READY = .venv/.ready
DEMO = runs/demo
PICTURE = examples/nuclei/val/images/a31deaf0ac279d5f.png
TISSUE = examples/tissue/images/human_pancreas_05.jpg

.PHONY: help demo test check browser clean

help:  ## the targets of this file
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

# The stamp is written last, so that an installation that was cut is done again.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "make: segdiff needs Python 3.10 to 3.13; choose one with make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(READY)

demo: $(READY)  ## segment and count nuclei with the model that ships; train one on examples/nuclei and score it
	@rm -rf $(DEMO)
	$(BIN)/segdiff predict --image $(TISSUE) $(PICTURE) --instances --output-dir $(DEMO)/nuclei
	$(BIN)/segdiff report $(DEMO)/nuclei
	$(BIN)/segdiff train experiment=demo run.dir=$(DEMO)
	$(BIN)/segdiff evaluate --model $(DEMO)/model --dataset folder --root examples/nuclei --split val --json $(DEMO)/scores.json
	$(BIN)/segdiff predict --model $(DEMO)/model --image $(PICTURE) --output-dir $(DEMO)/prediction
	@echo
	@echo "Masks and every nucleus of two pictures, by the model that ships: open $(DEMO)/nuclei/report.html in a browser."
	@echo "The second picture by the model trained just now: $(DEMO)/prediction; curves and panels: $(DEMO)."

test: $(READY)  ## the whole suite
	$(BIN)/python -m pytest -n auto --dist loadfile

check: $(READY)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

browser:  ## Chromium for the tests of the report's page (Debian's packages; asks for root), which skip without it
	@command -v chromedriver >/dev/null && command -v chromium >/dev/null || { \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update --quiet && $$sudo apt-get install --quiet --yes --no-install-recommends chromium chromium-driver; }

clean:  ## remove what make made, but for trained runs
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache $(DEMO)
