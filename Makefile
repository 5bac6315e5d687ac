# Two commands do everything on a fresh machine with Python 3.11: `make demo` and `make test`.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PACKAGES := afdcd modelpack distill export bench serve
export NO_ALBUMENTATIONS_UPDATE := 1
export HF_HUB_OFFLINE := 1

.PHONY: demo test test-all lint format gpu environment clean

demo: environment  ## The whole chain on the embedded dataset: train, export, bench, serve, report.
	$(BIN)/afdcd demo

test: lint  ## Lint and all quick tests.
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not gpu"

test-all: lint  ## Everything, the slow rest included.
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not gpu"

lint: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: environment
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

DEADLINE_MINUTES ?= 25
gpu: environment  ## What only a GPU can prove (docs/gpu.md); without one it says so and exits 0.
	$(BIN)/python -m afdcd.gpu --deadline-minutes $(DEADLINE_MINUTES) \
		$(if $(OUT),--out "$(OUT)") $(if $(DATA_ROOT),--data-root "$(DATA_ROOT)")

environment: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
