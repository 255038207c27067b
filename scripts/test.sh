#!/usr/bin/env bash
# Runs the linter, the type checker and all tests, with the tested versions of everything:
#
#     bash scripts/test.sh [--fast] [ARGUMENTS OF PYTEST]
#
# --fast leaves out the tests marked slow, for daily work. Installs into .venv (or the active environment).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
selection=()
if [[ "${1:-}" == --fast ]]; then
  selection=(-m 'not slow')
  shift
fi
set_up '[dev]'

echo '== ruff'
python -m ruff check .
python -m ruff format --check .
echo '== mypy'
options=()
if python -c 'import sys; sys.exit(sys.version_info >= (3, 11))'; then
  options=(--allow-any-generics)  # the last numpy for 3.10 has no defaults in its ndarray[...]
fi
python -m mypy ${options[@]+"${options[@]}"}  # an empty array is unset to bash 4.3 and older
echo '== pytest'
python -m pytest -n auto --dist loadfile --no-loadscope-reorder ${selection[@]+"${selection[@]}"} "$@"
