// What a family of ops contributes: its rows. Add a family by declaring it here and listing it in registry.cpp.
#pragma once

#include <initializer_list>

#include "graph/op.h"

namespace steep {

// The rows of several functions in one list: of a family whose rows are too many for one.
Rows joined(std::initializer_list<Rows (*)()> parts);

Rows elementwise_rows();
Rows reduce_rows();
Rows map_rows();
Rows view_rows();
Rows join_rows();
Rows index_rows();
Rows layer_norm_rows();
Rows linalg_rows();
Rows loss_rows();
Rows conv_rows();
Rows pool_rows();
Rows norm_rows();
Rows attention_rows();
Rows batch_norm_rows();
Rows group_norm_rows();
Rows resample_rows();
Rows sort_rows();
Rows random_rows();

}  // namespace steep
