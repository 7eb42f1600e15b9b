// Matmul with an epilogue on the result while it is in cache, used by captured programs.
#pragma once

#include "graph/op.h"

namespace steep {

// Computes matmul's call. `done`, which may be null, is called for rectangles of the result as they become final, as
// described at k::Epilogue: rows count through the batch, over the result seen as [batch * m, n]. Several threads call
// it.
void multiply(const Call& c, const k::Epilogue* done);

}  // namespace steep
