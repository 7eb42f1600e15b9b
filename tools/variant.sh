# What the scripts that test another extension module than the installed one share; they source this file. It sets
# `python`, the interpreter $PYTHON.
python=${PYTHON:-python3}

# build_variant FOLDER CMAKE_WORDS... builds the extension module in FOLDER and uses it.
build_variant() {
  local folder=$1 launcher
  shift
  export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
  launcher=$(command -v ccache || true)
  mkdir -p "$(dirname "$folder")"
  cmake -G Ninja -S . -B "$folder" ${launcher:+-DCMAKE_CXX_COMPILER_LAUNCHER=$launcher} \
    -DPython_EXECUTABLE="$(command -v "$python")" -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" "$@" >"$folder.log"
  cmake --build "$folder" --parallel "${JOBS:-2}"
  use_module "$folder"
}

# use_module FOLDER puts the package beside the module in FOLDER, and points PYTHONPATH at it.
use_module() {
  local package=$1/python/steep
  rm -rf "$package" && mkdir -p "$package"
  ln -s "$PWD"/python/steep/* "$package"
  rm -f "$package"/_core*.so
  ln -s "$1"/_core*.so "$package"
  export PYTHONPATH=$1/python:$PWD/tests
}
