#!/bin/sh
# The steps of the Dockerfile that do something, so that they can be run without Docker too:
#   steps.sh web-packages VENV SOURCE | worker-packages VENV SOURCE | static VENV SOURCE STATIC_ROOT
set -eu
step=$1 venv=$2 source=$3

case $step in
web-packages)
    python3 -m venv "$venv"
    "$venv/bin/pip" install -r "$source/requirements.txt"
    ;;
worker-packages)
    # torch first and alone, so that TORCH_INDEX_URL can choose the CPU build or another CUDA build of exactly this version.
    torch=$(grep '^torch==' "$source/training/engine/requirements.txt")
    "$venv/bin/pip" install "$torch" ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"}
    "$venv/bin/pip" install -r "$source/requirements.txt" -r "$source/training/engine/requirements.txt"
    ;;
static)
    scratch=$(mktemp -d)
    (cd "$source" && DATA_DIR="$scratch" STATIC_ROOT="$4" "$venv/bin/python" -m finetune.launcher.prepare static)
    rm -rf "$scratch"
    ;;
*)
    echo "steps.sh: there is no step “$step”" >&2
    exit 2
    ;;
esac
