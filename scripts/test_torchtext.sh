#!/usr/bin/env bash
# All tests with the oldest torch that is supported, and those beside torchtext, which works with
# no newer one:
#
#     bash scripts/test_torchtext.sh [ARGUMENTS OF PYTEST]
#
# Installs into .venv-torchtext, or the folder that TORCHTEXT_VENV names: about 6 GB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
environment=${TORCHTEXT_VENV:-.venv-torchtext}

if [[ ! -x $environment/bin/python ]]; then
  python=$(find_python python3.11 python3.12 python3.10)  # torch 2.3 came out for none newer
  echo "making $environment with $("$python" --version)"
  "$python" -m venv "$environment" || { rm -rf "$environment"; exit 1; }
fi
VIRTUAL_ENV=$(cd "$environment" && pwd)
export VIRTUAL_ENV
awk -F '==' 'NR == FNR { own[$1]; print; next } !($1 in own)' \
  scripts/constraints_torchtext.txt scripts/constraints.txt >"$VIRTUAL_ENV/constraints.txt"
set_up '[dev,torchtext]' "$VIRTUAL_ENV/constraints.txt"

echo '== versions'
python -W ignore -c 'import torch, torchtext; print(torch.__version__, torchtext.__version__)'
echo '== pytest'
python -m pytest -n auto --dist loadfile --no-loadscope-reorder "$@"
