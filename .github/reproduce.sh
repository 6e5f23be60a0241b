#!/usr/bin/env bash
# reproduce.sh FOLDER RECIPES CACHE: run the small configuration, RECIPES/pull-request.yaml, in a working folder.
# Both sides share CACHE, so that a stage which the change leaves alone is taken from there.
set -euo pipefail
recipes=$(realpath "$2")
mkdir -p "$3"
cache=$(realpath "$3")
cd "$1"
make setup
export PATH="$PWD/.venv/bin:$PATH"
dvc config --local cache.dir "$cache"
# data that DVC keeps come from its remote, whose credentials the environment has
mapfile -t tracked < <(git ls-files '*.dvc')
if ((${#tracked[@]})); then dvc pull "${tracked[@]}"; fi
python -m pipeline.params.recipes pull-request --folder "$recipes" --force
dvc repro
