// The results of chosen ops, noted while a function runs and given back when it runs again, so that a checkpoint need
// not compute these twice: `keep` of sp.checkpoint. Start reading at ResultLog.
#pragma once

#include <vector>

#include "graph/node.h"
#include "graph/op.h"

namespace steep {

class ResultLog {
 public:
  explicit ResultLog(std::vector<const Op*> ops) : ops_(std::move(ops)) {}

  // For apply(): the result that the op had when the function ran first, null where it is to be computed. Raises if the
  // function applies other ops than it did then, or if the result was written in place since.
  Tensor recall(const Call& c);
  void note(const Call& c);

  void rewind() { next_ = 0, noting_ = false; }  // the function is about to run again

 private:
  struct Result {
    const Op* op;
    Dims operand;  // the shape of the first
    Kept value;
  };
  bool holds(const Op& op) const;

  std::vector<const Op*> ops_;
  std::vector<Result> results_;
  std::size_t next_ = 0;
  bool noting_ = true;
};

}  // namespace steep
