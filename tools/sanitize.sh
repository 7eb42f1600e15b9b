#!/usr/bin/env bash
# Builds the extension module with clang's sanitizers and runs tests under them: `tools/sanitize.sh address|thread [pytest
# words]`. PYTHON is the interpreter to build for and test with; what is built lies in build/address and build/thread.
# Every finding ends the process. What cannot run under a sanitizer is deselected by tests/sanitized.py, with the reason.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
shift
folder=$PWD/build/$kind
compiler=${CLANG:-clang++-14}
. tools/variant.sh
case $kind in
  address) sanitizers=address,undefined ;;
  thread) sanitizers=thread ;;
  *) echo "tools/sanitize.sh: address or thread, not $kind"; exit 2 ;;
esac
build_variant "$folder" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSTEEP_SANITIZE="$sanitizers"

# clang's runtimes are static, so they come with the program: a Python of one line, in a virtual environment of its own
# that shares the packages of $PYTHON's.
version=$("$python" -c 'import sysconfig; print(sysconfig.get_python_version())')
base=$("$python" -c 'import sys; print(sys.base_prefix)')
host=$folder/venv/bin/python
mkdir -p "$folder/venv/bin"
ln -sfn "$("$python" -c 'import sys; print(sys.prefix)')/lib" "$folder/venv/lib"
echo "home = $base/bin" >"$folder/venv/pyvenv.cfg"
echo '#include <Python.h>
int main(int argc, char** argv) { return Py_BytesMain(argc, argv); }' >"$folder/host.cpp"
"$compiler" -fsanitize="$sanitizers" -rdynamic -I"$base/include/python$version" "$folder/host.cpp" -o "$host" \
  -L"$base/lib" -Wl,-rpath,"$base/lib" -lpython"$version"
export PYTHONMALLOC=malloc STEEP_SANITIZER=$kind

# Findings go to files, since pytest keeps to itself what a test says that ends the process. Python never frees all it
# has, so leaks are looked for in the native tests. A child of fork makes threads of its own (row 10 of docs/trust.md),
# which ThreadSanitizer permits only when told to.
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:use_sigaltstack=0:log_path=$folder/report
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:log_path=$folder/report
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:die_after_fork=0:log_path=$folder/report
rm -f "$folder"/report.*
failed=0
"$host" -m pytest --capture=sys -p no:cacheprovider -p sanitized -o timeout=3000 -o filterwarnings=default \
  -n "${JOBS:-2}" "${@:-tests}" || failed=$?
cat "$folder"/report.* 2>/dev/null && failed=1
exit $failed
