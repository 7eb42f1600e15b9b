// The registry: every family's rows in one list, built at first use, so that their addresses never change.
#include "ops/registry.h"

#include <algorithm>
#include <unordered_map>

namespace steep {
namespace {

Rows gather() {
  Rows all = joined({elementwise_rows, reduce_rows, map_rows, view_rows, join_rows, index_rows, linalg_rows, loss_rows,
                     layer_norm_rows, conv_rows, pool_rows, norm_rows, attention_rows, batch_norm_rows, group_norm_rows,
                     resample_rows, sort_rows, random_rows});
  for (const Op& op : all)
    if (!op.call.fits(op.params) || !op.call_many.fits(op.params))
      fail<ValueError>("the parameters of ", op.name, " are not those of its function");
  return all;
}

}  // namespace

Rows joined(std::initializer_list<Rows (*)()> parts) {
  Rows all;
  for (auto part : parts)
    for (Op& op : part()) all.push_back(std::move(op));
  return all;
}

const Rows& all_ops() {
  static const Rows rows = gather();
  return rows;
}

const Op& find_op(std::string_view name) {
  static const auto index = [] {
    std::unordered_map<std::string_view, const Op*> m;
    for (const Op& op : all_ops()) m.emplace(op.name, &op);
    return m;
  }();
  const auto found = index.find(name);
  if (found == index.end()) fail<ValueError>("steep has no op named ", name);
  return *found->second;
}

}  // namespace steep
