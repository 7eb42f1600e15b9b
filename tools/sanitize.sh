#!/usr/bin/env bash
# Builds the extension module with sanitizers and runs tests under them: `tools/sanitize.sh address|thread [pytest words]`.
# PYTHON is the interpreter to build for and test with; what is built lies in build/address and build/thread. Every
# finding ends the process. What cannot run under a sanitizer is deselected by tests/sanitized.py, with the reason.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
shift
folder=$PWD/build/$kind
. tools/variant.sh
case $kind in
  address) compiler=g++ sanitizers=address,undefined ;;
  thread) compiler=${CLANG:-clang++-14} sanitizers=thread ;;
  *) echo "tools/sanitize.sh: address or thread, not $kind"; exit 2 ;;
esac
build_variant "$folder" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSTEEP_SANITIZE="$sanitizers"
export STEEP_SANITIZER=$kind
failed=0
report() {
  cat "$folder"/report.* 2>/dev/null && failed=1
  exit $failed
}
rm -f "$folder"/report.*
pytest=(-m pytest --capture=sys -p no:cacheprovider -p sanitized -o timeout=3000 -o filterwarnings=default)

if [ "$kind" = address ]; then
  preload=
  for library in libasan libubsan libstdc++; do preload+="$(gcc -print-file-name=$library.so) "; done
  # Python never frees all it has, so leaks are looked for in the native tests. Findings go to a file, since pytest keeps
  # to itself what a test says that ends the process.
  export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:use_sigaltstack=0:log_path=$folder/report
  export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:log_path=$folder/report PYTHONMALLOC=malloc
  LD_PRELOAD=$preload "$python" "${pytest[@]}" "${@:-tests}" || failed=$?
  report
fi
# clang's runtime for threads is static, so it comes with the program: a Python of one line.
host=$folder/python_with_threads
base=$("$python" -c 'import sys; print(sys.base_prefix)')
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
version=$("$python" -c 'import sysconfig; print(sysconfig.get_python_version())')
echo '#include <Python.h>
int main(int argc, char** argv) { return Py_BytesMain(argc, argv); }' >"$host.cpp"
"$compiler" -fsanitize=thread -rdynamic -I"$base/include/python$version" "$host.cpp" -o "$host" \
  -L"$base/lib" -Wl,-rpath,"$base/lib" -lpython"$version"
export PYTHONHOME=$base PYTHONPATH=$PYTHONPATH:$site
# A child of fork makes threads of its own (row 10 of docs/trust.md), which the sanitizer permits only when told to.
export TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1 die_after_fork=0 log_path=$folder/report"
"$host" "${pytest[@]}" "${@:-tests}" || failed=$?
report
