#!/usr/bin/env bash
# Builds the extension module with OpenMP's threads instead of steep's own pool, and runs tests with it:
# `tools/openmp.sh [pytest words]`. PYTHON is the interpreter to build for and test with. Without words it runs what uses
# threads: bits, threads and fork, Ctrl-C, exceptions, compiled steps.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$PWD/build/openmp
python=${PYTHON:-python3}
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
launcher=$(command -v ccache || true)
mkdir -p build
cmake -G Ninja -S . -B "$folder" ${launcher:+-DCMAKE_CXX_COMPILER_LAUNCHER=$launcher} -DSTEEP_OPENMP=ON \
  -DPython_EXECUTABLE="$(command -v "$python")" -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" \
  -DCMAKE_BUILD_TYPE=Release >"$folder.log"
cmake --build "$folder" --parallel "${JOBS:-2}"

# The package beside the module that was just built.
package=$folder/python/steep
rm -rf "$package" && mkdir -p "$package"
ln -s "$PWD"/python/steep/* "$package"
rm -f "$package"/_core*.so
ln -s "$folder"/_core*.so "$package"
export PYTHONPATH=$folder/python:$PWD/tests
"$python" -c 'from steep import _core; assert _core._thread_pool() == "OpenMP", _core._thread_pool()'
default=(tests/trust/test_{process,openmp,bits,limits,trust}.py tests/compiling/test_compile_memory.py)
[ $# -gt 0 ] || set -- "${default[@]}"
"$python" -m pytest -p no:cacheprovider "$@"
