// Random tensors from counters: element i of a draw is a function of (key, start + i) alone, whatever the threads.
// The rows are hidden; python/steep/random.py keeps the counters.
#include "core/parallel.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;

// The operand is the generator's state, int64 [key, start]. Attributes: dtype, then the shape.
void infer_random(Call& c) { c.out = empty(c.attrs.dims(1, c.attrs.size() - 1), static_cast<DType>(c.attrs[0])); }

void fill(const Call& c, k::Random f) {
  if (!f) fail<TypeError>(c.op.name, ": not defined for ", c.out.dtype(), "; use float32 or float64");
  const auto* state = c.in[0].data<std::uint64_t>();
  const std::uint64_t key = state[0], start = state[c.in[0].strides()[0]];
  const std::int64_t item = size_of(c.out.dtype());
  parallel_for(c.out.size(), 1 << 14, 3, [&](std::int64_t b, std::int64_t e) {
    f(c.out.bytes() + b * item, e - b, key, start + static_cast<std::uint64_t>(b));
  });
}

Tensor state_of(std::int64_t key, std::int64_t start) {
  const Tensor state = empty({2}, Int64);
  state.data<std::int64_t>()[0] = key;
  state.data<std::int64_t>()[1] = start;
  return state;
}

Tensor drawn(const Op& op, T state, const Arg& shape, const Arg& dtype) {
  const DType wanted = dtype.dtype(std::string(op.name) == "random_bits" ? Int64 : Float32);
  std::vector<std::int64_t> attrs{wanted == BFloat16 ? Float32 : wanted};  // bfloat16 is rounded afterwards
  attrs.insert(attrs.end(), shape.ints.begin(), shape.ints.end());
  return astype(apply(op, {state}, AttrsRef(attrs.data(), attrs.size())), wanted);
}
Tensor call_random(const Op& op, Args& a) { return drawn(op, state_of(a[0].integer, a[1].integer), a[2], a[3]); }

// The next numbers of a generator, whose state is advanced in place, so that a compiled step draws new ones every time.
Tensor call_draw(const Op& op, Args& a) {
  T state = a[1].tensor;
  if (state.dtype() != Int64 || !(state.shape() == Dims{2}))
    fail<ValueError>(op.name, ": a state is int64 [key, position], and this is ", state);
  const Tensor y = drawn(find_op(a[0].text), state, a[2], a[3]);
  update_in_place(op.name, k::Kernel::add, state, state_of(0, y.size()));
  return y;
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
      {.name = "random_draw",
       .doc = "The next numbers of the op `kind` from a state, int64 [key, position], which is advanced in place.",
       .params = {{"kind", Kind::text}, {"state", Kind::tensor}, {"shape", Kind::ints}, {"dtype", Kind::dtype, "None"}},
       .call = call_draw},
      draw("random_bits", "64 random bits as int64: elements start, start + 1, ... of stream `key`.",
           [](const Call& c) {
             if (c.out.dtype() != Int64)
               fail<TypeError>(c.op.name, ": not defined for ", c.out.dtype(), "; its 64 bits need int64");
             fill(c, k::table().bits);
           }),
  };
}

}  // namespace steep
