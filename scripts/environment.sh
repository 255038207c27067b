# Sourced by quickstart.sh, test.sh and test_torchtext.sh, from the root of the project: finds or
# makes the Python environment and installs the tested versions into it.

# Where it is set, every process compiles the tests and the package again, which costs seconds each.
unset PYTHONDONTWRITEBYTECODE

# find_python [NAME...]: prints the first of these that is Python 3.10 or newer.
find_python() {
  local python
  [[ $# -gt 0 ]] || set -- python3 python3.13 python3.12 python3.11 python3.10 python
  for python in "$@"; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  echo "this needs Python 3.10 or newer ($*), and there is none: install it first" >&2
  return 1
}

# set_up EXTRAS [CONSTRAINTS]: puts the active environment, or .venv, in front of PATH and installs
# the project with EXTRAS ('' or '[dev]') in the versions of CONSTRAINTS, which is
# scripts/constraints.txt if not given, unless a stamp in the environment says that this is done.
set_up() {
  local extras=$1 constraints=${2:-scripts/constraints.txt}
  local environment=.venv python stamp wanted done
  if [[ -n "${VIRTUAL_ENV:-}" && -x "$VIRTUAL_ENV/bin/python" ]]; then
    environment=$VIRTUAL_ENV
  elif [[ -n "${CONDA_PREFIX:-}" && "${CONDA_DEFAULT_ENV:-base}" != base ]]; then
    environment=$CONDA_PREFIX
  elif [[ ! -x .venv/bin/python ]]; then
    python=$(find_python)
    echo "making .venv with $("$python" --version)"
    "$python" -m venv .venv || { rm -rf .venv; return 1; }
  fi
  environment=$(cd "$environment" && pwd)
  export PATH="$environment/bin:$PATH"
  hash -r

  stamp=$environment/.textlstm$extras
  wanted=$(python -c 'if True:
    import hashlib, pathlib, sys
    files = ("pyproject.toml", sys.argv[1])
    parts = [sys.version, str(pathlib.Path.cwd()), *(pathlib.Path(f).read_text() for f in files)]
    print(hashlib.sha256("\0".join(parts).encode()).hexdigest())' "$constraints")
  for done in "$stamp" "$environment/.textlstm[dev]"; do  # [dev] holds all that '' does
    if [[ -f "$done" && "$(cat "$done")" == "$wanted" ]]; then
      echo "using $environment"
      return
    fi
  done
  echo "installing textlstm$extras into $environment"
  python -m pip --version >/dev/null 2>&1 || python -m ensurepip
  python -m pip install -q --disable-pip-version-check 'pip>=23'
  python -m pip install -q --disable-pip-version-check -c "$constraints" -e ".$extras"
  echo "$wanted" >"$stamp"
}
