// What a family of ops contributes: its rows. Add a family by declaring it here and listing it in registry.cpp.
#pragma once

#include "graph/op.h"

namespace steep {

Rows elementwise_rows();
Rows reduce_rows();
Rows view_rows();
Rows join_rows();
Rows index_rows();
Rows layer_norm_rows();
Rows linalg_rows();
Rows loss_rows();
Rows conv_rows();
Rows pool_rows();
Rows norm_rows();
Rows resample_rows();
Rows sort_rows();
Rows random_rows();

}  // namespace steep
