// Chooses the table once per process: the last instruction set in kSets that the processor has, or the one that
// STEEP_ISA names. Start reading at choose().
#include "kernels/table.h"

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels/cpu.h"

namespace steep::k {

#if defined(__x86_64__)
extern const Table table_baseline, table_avx2, table_avx512;
#elif defined(__aarch64__)
extern const Table table_neon;
#else
extern const Table table_baseline;
#endif

namespace {

struct Set {
  const Table* table;
  const char* (*missing)();
};
const Set kSets[] = {
#if defined(__x86_64__)
    {&table_baseline, missing_for_baseline},
    {&table_avx2, missing_for_avx2},
    {&table_avx512, missing_for_avx512},
#elif defined(__aarch64__)
    {&table_neon, missing_for_neon},
#else
    {&table_baseline, missing_for_baseline},
#endif
};

std::string names(bool only_usable) {
  std::string out;
  for (const Set& s : kSets)
    if (!only_usable || !s.missing()) out.append(out.empty() ? "" : " ").append(s.table->isa);
  return out;
}

const Set& named(const char* name) {
  for (const Set& s : kSets)
    if (!std::strcmp(s.table->isa, name)) return s;
  throw std::runtime_error("STEEP_ISA=" + std::string(name) + " is not one of: " + names(false));
}

const Table& require(const Set& s, const std::string& who) {
  if (const char* feature = s.missing())
    throw std::runtime_error(who + " needs " + feature + ", which this processor or its operating system lacks");
  return *s.table;
}

const Table& choose() {
  const char* wish = std::getenv("STEEP_ISA");
  if (wish && *wish) return require(named(wish), "STEEP_ISA=" + std::string(wish));
  const Set* best = &kSets[0];
  for (const Set& s : kSets)
    if (!s.missing()) best = &s;
  return require(*best, "steep");
}

}  // namespace

const Table& table() {
  static const Table& chosen = choose();
  return chosen;
}
const char* isas_built() {
  static const std::string all = names(false);
  return all.c_str();
}
const char* isa_missing(const char* isa) { return named(isa).missing(); }
const Table& isa_table(const char* isa) { return require(named(isa), isa); }
const char* isas_usable() {
  static const std::string usable = names(true);
  return usable.c_str();
}

}  // namespace steep::k
