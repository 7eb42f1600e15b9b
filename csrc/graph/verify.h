// Checking a replay against the plain function: what a call changes is restored, the function runs again under a
// recorder that keeps every value, and the two are compared instruction by instruction. For compile(verify=True).
#pragma once

#include "graph/replay.h"

namespace steep {

// A snapshot of everything that a replay changes.
class Snapshot {
 public:
  Snapshot(const Program& p, const std::vector<Tensor>& arguments);
  void restore() const;
  // The bytes of what a replay changes, by name, to compare with another run's.
  std::vector<std::pair<std::string, std::string>> now() const;

 private:
  struct Kept {
    std::string name;
    StorageRef storage;
    std::string bytes;
  };
  struct Grad {
    std::string name;
    Tensor owner, grad;
  };
  std::vector<Kept> memory_;
  std::vector<Grad> grads_;
};

// Describes the first instruction in which two recordings of one function differ; "" if they are equal.
std::string difference(const Program& recorded, const Program& again);

// Describes the first instruction whose result in a replay differs from the recording's.
std::string first_wrong(const Replay& kept, const Program& recorded);

}  // namespace steep
