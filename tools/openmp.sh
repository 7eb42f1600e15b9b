#!/usr/bin/env bash
# Builds the extension module with OpenMP's threads instead of steep's own pool, and runs tests with it:
# `tools/openmp.sh [pytest words]`. PYTHON is the interpreter to build for and test with. Without words it runs what uses
# threads: bits, threads and fork, Ctrl-C, exceptions, compiled steps. KERNEL_LEVEL=-O1 builds faster, for a smoke test.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/variant.sh
build_variant "$PWD/build/openmp" -DSTEEP_OPENMP=ON -DCMAKE_BUILD_TYPE=Release -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF \
  -DSTEEP_KERNEL_LEVEL="${KERNEL_LEVEL:--O3}"
"$python" -c 'from steep import _core; assert _core._thread_pool() == "OpenMP", _core._thread_pool()'
default=(tests/trust/test_{process,openmp,bits,limits,trust}.py tests/compiling/test_compile_memory.py)
[ $# -gt 0 ] || set -- "${default[@]}"
"$python" -m pytest -p no:cacheprovider "$@"
