#!/usr/bin/env bash
# Linter, type checker and all tests, with the tested versions of everything:
#
#     bash scripts/test.sh [ARGUMENTS OF PYTEST]
#
# Installs into .venv (or the active environment).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
set_up '[dev]'

echo '== ruff'
python -m ruff check .
python -m ruff format --check .
echo '== mypy'
python -m mypy
echo '== pytest'
python -m pytest -n auto "$@"
