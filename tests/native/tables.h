// The tables of kernels that this processor can run, from the least instruction set to the best, for the native
// programs.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "kernels/table.h"

inline std::vector<const steep::k::Table*> usable_tables() {
  std::vector<const steep::k::Table*> all;
  std::istringstream names(steep::k::isas_usable());
  for (std::string name; names >> name;) all.push_back(&steep::k::isa_table(name.c_str()));
  return all;
}
