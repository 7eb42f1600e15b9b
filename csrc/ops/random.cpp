// Random tensors from counters: element i of a draw is a function of (key, start + i) alone, whatever the threads.
// The rows are hidden; python/steep/random.py keeps the counters.
#include "core/parallel.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;

struct Draw {
  DType dtype = Float32;
  Ints shape;
  STEEP_ATTRIBUTES(dtype, shape)
};
// The operand is the generator's state, int64 [key, start].
void infer_random(Call& c) {
  const auto a = c.attrs.as<Draw>();
  c.out = empty(a.shape.dims(), a.dtype);
}

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

Tensor drawn(const Op& op, T state, const Arg& shape, std::optional<DType> dtype) {
  const DType wanted = dtype.value_or(*op.draws);
  const DType drawn = wanted == BFloat16 ? Float32 : wanted;  // bfloat16 is rounded afterwards
  return astype(apply(op, {state}, Draw{drawn, shape.ints}), wanted);
}
Tensor call_random(const Op& op, std::int64_t key, std::int64_t start, const Arg& shape, std::optional<DType> dtype) {
  return drawn(op, state_of(key, start), shape, dtype);
}

// The next numbers of a generator, whose state is advanced in place, so that a compiled step draws new ones every time.
Tensor call_draw(const Op& op, const std::string& kind, T state, const Arg& shape, std::optional<DType> dtype) {
  if (state.dtype() != Int64 || !(state.shape() == Dims{2}))
    fail<ValueError>(op.name, ": a state is int64 [key, position], and this is ", state);
  const Tensor y = drawn(find_op(kind), state, shape, dtype);
  update_in_place(op.name, k::Kernel::add, state, state_of(0, y.size()));
  return y;
}

Op draw(const char* name, const char* doc, const char* example, DType draws, void (*compute)(const Call&)) {
  return {.name = name,
          .doc = doc,
          .returns = "A tensor, the same on every machine and for any number of threads.",
          .raises = "TypeError: for another dtype.\nValueError: for a negative size.",
          .source =
              "Salmon et al. 2011, \"Parallel random numbers: as easy as 1, 2, 3\" (Philox 4x32-10), "
              "doi:10.1145/2063384.2063405.",
          .example = example,
          .params = {{"key", Kind::integer, required, "which stream, a 64-bit integer"},
                     {"start", Kind::integer, required, "position of the first number in the stream"},
                     {"shape", Kind::ints, required, "shape of the result"},
                     {"dtype", Kind::dtype, "None",
                      draws == Int64 ? "int64, the only dtype"
                                     : "a float dtype; float32 "
                                       "where None"}},
          .attrs = attributes<Draw>(),
          .call = call_random,
          .infer = infer_random,
          .compute = compute,
          .draws = draws};
}

}  // namespace

Rows random_rows() {
  return {
      draw("random_uniform", "Uniform on [0, 1): elements start, start + 1, ... of stream `key`.",
           ">>> sp.random_uniform(0, 0, (3,))\n"
           "tensor([0.39904642, 0.88052016, 0.73571277], dtype=float32)",
           Float32, [](const Call& c) { fill(c, k::table().uniform[c.out.dtype()]); }),
      draw("random_normal", "Standard normal: elements start, start + 1, ... of stream `key`.",
           ">>> sp.random_normal(0, 0, (2, 2)).shape\n"
           "(2, 2)",
           Float32, [](const Call& c) { fill(c, k::table().normal[c.out.dtype()]); }),
      {.name = "_random_draw",
       .doc = "The next numbers of the op `kind` from a state, int64 [key, position], which is advanced in place.",
       .params = {{"kind", Kind::text, required, "the op: random_uniform, random_normal or random_bits"},
                  {"state", Kind::tensor, required, "int64 [key, position]"},
                  {"shape", Kind::ints, required, "shape of the result"},
                  {"dtype", Kind::dtype, "None", "dtype of the result; the op's where None"}},
       .call = call_draw,
       .hidden = true,
       .discrete = true},
      draw("random_bits", "64 random bits as int64: elements start, start + 1, ... of stream `key`.",
           ">>> sp.random_bits(0, 0, (2,))\n"
           "tensor([ 7361108121267848589, -4875238626587255848], dtype=int64)",
           Int64,
           [](const Call& c) {
             if (c.out.dtype() != Int64)
               fail<TypeError>(c.op.name, ": not defined for ", c.out.dtype(), "; its 64 bits need int64");
             fill(c, k::table().bits);
           }),
  };
}

}  // namespace steep
