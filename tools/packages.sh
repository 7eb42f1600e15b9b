#!/usr/bin/env bash
# What a user installs: `tools/packages.sh WHEEL` makes the source archive, then installs the wheel and the archive, which
# pip builds, each in a virtual environment with nothing else, and runs the self-test there, away from this checkout.
# PYTHON is an interpreter that has the packages of requirements/build.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} wheel=$(realpath "$1") at=$PWD/build/packages
export CCACHE_BASEDIR=$at CCACHE_NOHASHDIR=1
command -v ccache >/dev/null && export CMAKE_CXX_COMPILER_LAUNCHER=ccache
rm -rf "$at" && mkdir -p "$at"
"$python" -c 'import sys; from scikit_build_core.build import build_sdist; print(build_sdist(sys.argv[1]))' "$at"
for package in "$wheel" "$at"/*.tar.gz; do
  "$python" -m venv "$at/venv"
  (
    cd "$at"
    unset PYTHONPATH
    venv/bin/python -m pip install --quiet "$package"
    venv/bin/python -c 'import sys, steep; assert steep.__file__.startswith(sys.prefix), steep.__file__
from steep import selftest; wrong = [o.check.what for o in selftest.run() if not o.ok]; assert not wrong, wrong'
    venv/bin/python -m pip uninstall --quiet --yes steep
    echo "$(basename "$package"): installed alone, the self-test holds"
    rm -rf venv
  )
done
