// The extension module steep._core: each part of the bindings adds its own.
#include "bindings/python.h"

#define PyInit__core init_core  // pybind11's own; the function below runs before it

PYBIND11_MODULE(_core, m) {
  m.doc() = "steep's C++ core. Import steep, not this.";
  try {
    steep::k::table();  // an unsupported processor or STEEP_ISA is an ImportError, not a crash later
  } catch (const std::runtime_error& e) {
    throw pybind11::import_error(e.what());
  }
  steep::bind_errors(m);
  steep::bind_dtypes(m);
  steep::bind_functions(m);
  steep::bind_creation(m);
  steep::bind_autograd(m);
  steep::bind_runtime(m);
  steep::bind_compile(m);
  steep::bind_profile(m);
}

#undef PyInit__core

// Types, free lists and graphs are per process, so they support one interpreter.
PYBIND11_PLUGIN_IMPL(_core) {
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) return init_core();
  PyErr_SetString(PyExc_ImportError,
                  "steep can be imported in the main interpreter only, and this is a sub-interpreter");
  return nullptr;
}
