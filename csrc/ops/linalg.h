// Matmul with an epilogue on the result while it is in cache, used by captured programs, and where the matrices of a
// batched operand are.
#pragma once

#include "graph/op.h"

namespace steep {

// Computes matmul's call, into what its result holds. `done`, which may be null, is called for rectangles of the result
// as they become final, as described at k::Epilogue: rows count through the batch, over the result seen as [batch * m,
// n]. Several threads call it.
void multiply(const Call& c, k::Into into, const k::Epilogue* done);
// The same of tensors of matching shapes, by a kernel that is given.
void multiply_by(k::Gemm gemm, Tensor a, const Tensor& b, Tensor out, k::Into into, const k::Epilogue* done);

// The offsets of the matrices of a batched operand: broadcast dimensions have a step of 0.
struct Leading {
  Dims batch, steps;

  Leading(const Tensor& t, const Dims& shape) : batch(shape) {
    const int lead = batch.size() - (t.ndim() - 2);
    for (int d = 0; d < batch.size(); ++d)
      steps.push(d < lead || t.dim(d - lead) == 1 ? 0 : t.strides()[d - lead] * size_of(t.dtype()));
  }
  // The offset in bytes of matrix i.
  std::int64_t at(std::int64_t i) const {
    std::int64_t offset = 0;
    for (int d = batch.size() - 1; d >= 0; i /= batch[d], --d) offset += i % batch[d] * steps[d];
    return offset;
  }
};

}  // namespace steep
