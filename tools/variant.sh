# What the scripts that test another build of the extension module share; they source this file. `build_variant FOLDER
# CMAKE_WORDS...` builds in FOLDER for the interpreter $PYTHON, puts the package beside that module and points PYTHONPATH
# at it. It sets `python`, the interpreter.
python=${PYTHON:-python3}

build_variant() {
  local folder=$1 package=$1/python/steep launcher
  shift
  export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
  launcher=$(command -v ccache || true)
  mkdir -p "$(dirname "$folder")"
  cmake -G Ninja -S . -B "$folder" ${launcher:+-DCMAKE_CXX_COMPILER_LAUNCHER=$launcher} \
    -DPython_EXECUTABLE="$(command -v "$python")" -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" "$@" >"$folder.log"
  cmake --build "$folder" --parallel "${JOBS:-2}"

  rm -rf "$package" && mkdir -p "$package"
  ln -s "$PWD"/python/steep/* "$package"
  rm -f "$package"/_core*.so
  ln -s "$folder"/_core*.so "$package"
  export PYTHONPATH=$folder/python:$PWD/tests
}
