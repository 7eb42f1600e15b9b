// Matmul with something more to do to the result while it is in cache: what a captured program folds in after it.
#pragma once

#include "graph/op.h"

namespace steep {

// Computes matmul's call. `done`, which may be null, is told of rectangles of the result as they become final, as
// k::Epilogue says: rows count through the batch, over the result seen as [batch * m, n]. Several threads call it.
void multiply(const Call& c, const k::Epilogue* done);

}  // namespace steep
