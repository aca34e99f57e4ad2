# Human verbs only. `make help` lists them.
PYTHON ?= python3
OUTPUT ?= bundle
SETTINGS ?=
FILE ?= bundle.tar
KEY ?= releases.key
BACKUPS ?=
SET ?=
NAME ?=
ON ?=
UNDO ?=
AUTOMATIC ?=
FROM ?=
VOLUME ?=
DATABASE ?=
DRY ?=

VENV := .venv
BIN := $(VENV)/bin
OPTIONS := --output "$(OUTPUT)" $(if $(SETTINGS),--settings "$(SETTINGS)")
COMPOSE = cd "$(OUTPUT)" && docker compose

.DEFAULT_GOAL := help
.PHONY: help init generate cloudflare up update check backup sets card drill restore move rotate database retire pack unpack import test lint format bench golden lock images releases routes release clean

help: ## List what can be done
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

init: $(VENV)/project ## Write a commented settings.yaml to start from
	@$(BIN)/synapse-bundle init

generate: $(VENV)/project ## Write the bundle (SETTINGS=file OUTPUT=directory)
	@$(BIN)/synapse-bundle generate $(OPTIONS)

cloudflare: $(VENV)/project ## Set up tunnel, DNS and Worker at Cloudflare, and write the bundle
	@$(BIN)/synapse-bundle cloudflare apply $(OPTIONS)

up: $(VENV)/project ## Generate, start, wait until healthy, check
	@$(BIN)/synapse-bundle up $(OPTIONS)

update: $(VENV)/project ## Bring the running server up to date, and go back if that fails
	@$(BIN)/synapse-bundle update $(OPTIONS) $(if $(AUTOMATIC),--automatic)

check: $(VENV)/project ## Prove the running bundle hop by hop
	@$(BIN)/synapse-bundle check --output "$(OUTPUT)"

# Each is one command of Docker Compose, for those who have only the folder.
backup: ## Make an encrypted set of everything (OUTPUT=directory)
	@$(COMPOSE) run --rm backup now

sets: ## List the sets
	@$(COMPOSE) run --rm backup list

card: ## Show the recovery card
	@$(COMPOSE) run --rm backup card

restore: ## Bring back the newest set, or SET=name, on an empty machine
	@$(COMPOSE) run --rm restore $(SET)

move: ## Shut this server, with a final set for another machine (UNDO=yes takes it back)
	@$(COMPOSE) run --rm backup move $(if $(UNDO),--undo,&& docker compose down)

drill: $(VENV)/project ## Start the newest set, or SET=name, beside the server, and use it
	@$(BIN)/synapse-bundle drill $(SET) --output "$(OUTPUT)"

rotate: $(VENV)/project ## Replace secrets, NAME=name; without one, list them with age and cost
	@$(BIN)/synapse-bundle rotate $(NAME) $(OPTIONS)

database: $(VENV)/project ## Bring the database to PostgreSQL's next major version (UNDO=yes goes back)
	@$(BIN)/synapse-bundle upgrade-database $(OPTIONS) $(if $(UNDO),--undo)

retire: $(VENV)/project ## End this server for good; before that, tell everyone the day: ON=2027-01-31
	@$(BIN)/synapse-bundle retire $(if $(ON),announce --on "$(ON)",finish) $(OPTIONS)

pack: $(VENV)/project ## Pack the bundle and its images into one file (FILE=bundle.tar BACKUPS=yes)
	@$(BIN)/synapse-bundle pack "$(FILE)" --output "$(OUTPUT)" $(if $(BACKUPS),--with-backups)

unpack: $(VENV)/project ## Unpack that file here, without a registry (FILE=bundle.tar)
	@$(BIN)/synapse-bundle unpack "$(FILE)" --output "$(OUTPUT)"

import: $(VENV)/project ## Make another Synapse this server (FROM=folder or VOLUME=name, DATABASE=dump, DRY=yes)
	@$(BIN)/synapse-bundle import $(if $(FROM),"$(FROM)") $(if $(VOLUME),--volume "$(VOLUME)") $(if $(DATABASE),--database "$(DATABASE)") $(if $(DRY),--dry-run) $(OPTIONS)

# Several at a time, because most of them wait; a file stays in one process and shares its stack. More than three
# need more networks at once than the address pools of an engine as installed hold.
test: PROCESSES ?= 3
test: $(VENV)/developer ## Run every test this machine can run (PROCESSES=3)
	@$(BIN)/pytest --numprocesses $(PROCESSES) --dist loadfile

lint: $(VENV)/developer ## Check types, style, imports, shell scripts, Dockerfiles and YAML
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=images/helper $(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/yamllint --strict .
	@git ls-files | xargs grep -lE '^#!(/bin/(ba)?sh|/usr/bin/env bash)' | xargs $(BIN)/shellcheck --external-sources
	@git ls-files '*Dockerfile' | xargs $(BIN)/hadolint
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms \
		.github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/idea.yml

format: $(VENV)/developer ## Format the Python code
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: $(VENV)/developer ## Measure speed and memory as ratios (needs an engine; up to 50 minutes)
	@$(BIN)/python -m tests.bench

golden: $(VENV)/developer ## Rewrite the golden bundles; read them with git diff
	@$(BIN)/pytest tests/bundle/test_golden.py tests/kubernetes/test_manifests.py --update-golden

lock: $(VENV)/developer ## Update the helper image's lock files
	@cd images/helper && for part in "requirements.txt pyproject.toml" "requirements-build.txt --group pyproject.toml:build"; do \
		../../$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.13 --generate-hashes \
			--only-binary :all: --no-emit-index-url --no-header --output-file $$part || exit; done

images: $(VENV)/developer ## Record the digests of the pinned images
	@$(BIN)/python bin/update_images.py

releases: $(VENV)/developer ## Check and sign the list of releases (KEY=file, which stays outside)
	@PYTHONPATH=images/helper $(BIN)/python bin/sign_releases.py "$(KEY)"

routes: $(VENV)/developer ## Update what Synapse's workers serve from the pinned image (needs an engine)
	@$(BIN)/python bin/update_routes.py

release: $(VENV)/developer ## Tag VERSION=1.2.3 and build its wheel and sdist; publishes nothing
	@$(BIN)/python bin/release.py "$(VERSION)"

clean: ## Remove what the other verbs made, except bundle/ and settings.yaml
	rm -rf $(VENV) .node dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "synapse-bundle needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python has no venv here; on Debian: apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/project: $(VENV)/python pyproject.toml
	@echo "Preparing synapse-bundle (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/developer: $(VENV)/project
	@echo "Preparing the developers' tools (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --group dev
	@touch $@
