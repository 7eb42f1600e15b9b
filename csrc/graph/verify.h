// Checking a replay against the plain function: what a call changes is put back, the function runs again under a
// recorder that keeps every value, and the two are compared instruction by instruction. For compile(verify=True).
#pragma once

#include "graph/replay.h"

namespace steep {

// Everything that a replay changes, as it is now.
class Snapshot {
 public:
  Snapshot(const Program& p, const std::vector<Tensor>& arguments);
  void restore() const;
  // The bytes of what a replay changes, named, to hold against another run's.
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

// The first instruction in which two recordings of one function differ, in words; "" where they are alike.
std::string difference(const Program& recorded, const Program& again);

// The first instruction of a replay that kept all its values whose result differs from the recording's, in words.
std::string first_wrong(const Replay& kept, const Program& recorded);

}  // namespace steep
