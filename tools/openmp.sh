#!/usr/bin/env bash
# Runs tests with OpenMP's threads instead of steep's own pool: `tools/openmp.sh FOLDER [pytest words]`. FOLDER holds the
# extension module that CMake's target core_openmp makes; PYTHON is the interpreter that it is for. Without words it runs
# what uses threads: bits, threads and fork, Ctrl-C, exceptions, compiled steps.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/variant.sh
use_module "$(realpath "$1")"
shift
"$python" -c 'from steep import _core; assert _core._thread_pool() == "OpenMP", _core._thread_pool()'
default=(tests/trust/test_{process,openmp,bits,limits,trust}.py tests/compiling/test_compile_memory.py)
[ $# -gt 0 ] || set -- "${default[@]}"
"$python" -m pytest -p no:cacheprovider "$@"
