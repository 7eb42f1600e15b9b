// Random tensors from counters: element i of a draw is a function of (key, start + i) alone, whatever the threads.
// The rows are hidden; python/steep/random.py keeps the counters.
#include "core/parallel.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace steep {
namespace {

// Attributes: key, start, dtype, then the shape.
void infer_random(Call& c) { c.out = empty(c.attrs.dims(3, c.attrs.size() - 3), static_cast<DType>(c.attrs[2])); }

void fill(const Call& c, k::Random f) {
  if (!f) fail<TypeError>(c.op.name, ": not defined for ", c.out.dtype(), "; use float32 or float64");
  const auto key = static_cast<std::uint64_t>(c.attrs[0]), start = static_cast<std::uint64_t>(c.attrs[1]);
  const std::int64_t item = size_of(c.out.dtype());
  parallel_for(c.out.size(), 1 << 14, 3, [&](std::int64_t b, std::int64_t e) {
    f(c.out.bytes() + b * item, e - b, key, start + static_cast<std::uint64_t>(b));
  });
}

Tensor call_random(const Op& op, Args& a) {
  std::vector<std::int64_t> attrs{a[0].integer, a[1].integer,
                                  a[3].dtype(std::string(op.name) == "random_bits" ? Int64 : Float32)};
  attrs.insert(attrs.end(), a[2].ints.begin(), a[2].ints.end());
  return apply(op, nullptr, 0, AttrsRef(attrs.data(), attrs.size()));
}

Op draw(const char* name, const char* doc, void (*compute)(const Call&)) {
  return {.name = name,
          .doc = doc,
          .params = {{"key", Kind::integer},
                     {"start", Kind::integer},
                     {"shape", Kind::ints},
                     {"dtype", Kind::dtype, "None"}},
          .call = call_random,
          .infer = infer_random,
          .compute = compute};
}

}  // namespace

Rows random_rows() {
  return {
      draw("random_uniform", "Uniform on [0, 1): elements start, start + 1, ... of stream `key`.",
           [](const Call& c) { fill(c, k::table().uniform[c.out.dtype()]); }),
      draw("random_normal", "Standard normal: elements start, start + 1, ... of stream `key`.",
           [](const Call& c) { fill(c, k::table().normal[c.out.dtype()]); }),
      draw("random_bits", "64 random bits as int64: elements start, start + 1, ... of stream `key`.",
           [](const Call& c) {
             if (c.out.dtype() != Int64)
               fail<TypeError>(c.op.name, ": not defined for ", c.out.dtype(), "; its 64 bits need int64");
             fill(c, k::table().bits);
           }),
  };
}

}  // namespace steep
