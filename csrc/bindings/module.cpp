// The extension module steep._core: each part of the bindings adds its own.
#include "bindings/python.h"

PYBIND11_MODULE(_core, m) {
  m.doc() = "steep's C++ core. Import steep, not this.";
  try {
    steep::k::table();  // an unusable processor or STEEP_ISA is an ImportError, not a crash later
  } catch (const std::runtime_error& e) {
    throw pybind11::import_error(e.what());
  }
  steep::bind_errors(m);
  steep::bind_dtypes(m);
  steep::bind_functions(m);
  steep::bind_creation(m);
  steep::bind_autograd(m);
  steep::bind_runtime(m);
}
