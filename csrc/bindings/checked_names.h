// Included before everything else by every file of bindings (CMakeLists.txt): pybind11 makes a text of each keyword
// argument's name and compares it unlooked at, which ends the process where memory has run out.
#pragma once

#include <Python.h>

#include <new>

inline PyObject* steep_checked_name(const char* text) {
  PyObject* name = PyUnicode_InternFromString(text);
  if (!name) throw std::bad_alloc();
  return name;
}
#define PyUnicode_InternFromString steep_checked_name
