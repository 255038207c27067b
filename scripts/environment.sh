# Sourced by quickstart.sh and test.sh, from the root of the project: finds or makes the Python
# environment and installs the tested versions into it.

# Prints the first Python that is new enough.
find_python() {
  local python
  for python in python3 python3.13 python3.12 python3.11 python3.10 python; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  echo "textlstm needs Python 3.10 or newer, and there is none: install it first" >&2
  return 1
}

# set_up EXTRAS: puts the active environment, or .venv, in front of PATH and installs the project
# with EXTRAS ('' or '[dev]'), unless a stamp in the environment says that this is done.
set_up() {
  local extras=$1 environment=.venv python stamp wanted done
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
    files = ("pyproject.toml", "scripts/constraints.txt")
    parts = [sys.version, str(pathlib.Path.cwd()), *(pathlib.Path(f).read_text() for f in files)]
    print(hashlib.sha256("\0".join(parts).encode()).hexdigest())')
  for done in "$stamp" "$environment/.textlstm[dev]"; do  # [dev] holds all that '' does
    if [[ -f "$done" && "$(cat "$done")" == "$wanted" ]]; then
      echo "using $environment"
      return
    fi
  done
  echo "installing textlstm$extras into $environment"
  python -m pip --version >/dev/null 2>&1 || python -m ensurepip
  python -m pip install --disable-pip-version-check 'pip>=23'
  python -m pip install --disable-pip-version-check -c scripts/constraints.txt -e ".$extras"
  echo "$wanted" >"$stamp"
}
