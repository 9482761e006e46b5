#!/bin/sh
# Creates or refreshes the virtual environment behind `make setup`: a fresh clone needs Python >= 3.11, g++, make and perl only.
#
# usage: tools/setup_environment.sh VENV STAMP
#   PYTHON       interpreter to make it with; empty: the first of python3.13, 3.12, 3.11, python3 that is new enough
#   TORCH_INDEX  package index to take PyTorch alone from; empty: wherever pip is set up to look
# STAMP is written last and holds the clone's path, since an environment cannot be moved.
set -eu
venv=$1 stamp=$2 started=$1/.s2nn-installing

fail() { echo "make setup: $*" >&2; exit 1; }

missing=
for tool in g++ make perl; do command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"; done
[ -z "$missing" ] || fail "not found on PATH:$missing. The simulator is compiled: that needs a C++ compiler (g++), make and perl."

# A name on PATH proves nothing (version managers leave shims for versions that are not there): run it.
probe='import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))'
usable() { "$1" -c "$probe" >/dev/null 2>&1; }

reason=
if [ ! -d "$venv" ]; then reason="new"
elif [ -e "$started" ]; then reason="the last installation was interrupted"
elif [ -e "$venv/bin/activate" ] && ! grep -qF "$(cd "$venv" && pwd)" "$venv/bin/activate"; then
  reason="it was made for another folder"
elif ! usable "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  reason="its Python does not run, has no pip or is older than 3.11"
fi
rm -f "$stamp"

if [ -n "$reason" ]; then
  # Only an environment is ever cleared, never a folder that VENV named by mistake; .venv is ours in any state.
  if [ "$venv" != .venv ] && [ -d "$venv" ] && [ -n "$(ls -A "$venv")" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
    fail "VENV=$venv is a folder but no virtual environment"
  fi
  chosen=
  for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    if usable "$candidate"; then chosen=$candidate; break; fi
  done
  [ -n "$chosen" ] || fail "none of '${PYTHON:-python3.13 python3.12 python3.11 python3}' is Python 3.11 or newer with its venv" \
    "module. Install one, or name it: make setup PYTHON=/path/to/python3"
  echo "make setup: $("$chosen" --version) in $venv ($reason); about 2.3 GB on disk"
  "$chosen" -m venv --clear "$venv"
  : > "$started"
fi

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
if [ -n "${TORCH_INDEX:-}" ]; then pip install --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"; fi
pip install -c constraints.txt -e ".[dev]"

"$venv/bin/python" -c 'import sys, find_libpython; sys.exit(find_libpython.find_libpython() is None)' || echo \
  "make setup: warning: this Python has no shared library (libpython). RTL simulation embeds it and will fail:" \
  "use a Python that was built with --enable-shared." >&2
rm -f "$started"
printf '%s\n' "$PWD" > "$stamp"
