// What an op is: one row of data. Bindings, stubs, reference docs, tests and benchmarks are derived from the rows,
// and apply() (graph/apply.h) runs them. Start reading at Op.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"
#include "graph/attrs.h"

namespace steep {

struct Op;
struct Node;

// One application of an op: operands in, result out. infer() sets out's shape and dtype (allocate) or makes it a view.
struct Call {
  const Op& op;
  const Tensor* in;
  int count;
  const AttrsRef& attrs;
  Tensor out;
};

// What a gradient rule sees of a recorded operation. in(i) and out() exist if the rule's `saves` names them; they are
// connected to the graph, and raise if their memory has been written since.
struct Rule {
  const Node& node;
  int index;  // of the input whose gradient is asked for
  Tensor in(int i) const;
  Tensor out() const;
  const AttrsRef& attrs() const;
  Dims shape(int i) const;  // of an input that needs a gradient
  DType dtype(int i) const;
};

inline constexpr unsigned in0 = 1, in1 = 2, in2 = 4, save_out = 8, nothing = 0;

// The gradient for one input: from the output's gradient g. May return a null tensor (no gradient) or one of the
// broadcast shape, which backward sums to the input's shape.
struct Vjp {
  Tensor (*rule)(const Rule&, const Tensor& g) = nullptr;
  unsigned saves = nothing;
  k::Kernel fused = k::Kernel::count;  // a kernel of (g, saved) equal to the rule, used when no graph is recorded
};

// How tangents are propagated: diagonal, the vjp of a broadcast tangent (every elementwise op); linear, the op itself
// on the tangent of its one input; custom, a rule from the tangents of all inputs (null where none); otherwise by
// differentiating the vjp, which is linear in g.
enum class Jvp : std::uint8_t { by_vjp, diagonal, linear, custom };
using JvpRule = Tensor (*)(const Rule&, const Tensor* tangents);

// The public signature: parameters as data, from which arguments are parsed and stubs and docs are printed.
enum class Kind : std::uint8_t {
  tensor,
  optional_tensor,
  tensors,
  index,  // a tensor of positions or a condition: it takes no part in dtype promotion
  integer,
  optional_integer,
  ints,
  axes,
  flag,
  real,
  dtype,
  text,
  device,  // "cpu" or None, the only device
  object   // any Python object, parsed by the function itself
};
struct Param {
  const char* name;
  Kind kind;
  const char* fallback = nullptr;  // the default as Python text; null: required
  bool keyword = false;            // keyword-only, as are those that follow it
};

// A parsed argument. `given` is false for None.
struct Arg {
  bool given = false;
  Tensor tensor;
  std::vector<Tensor> tensors;
  std::int64_t integer = 0;
  double real = 0;
  std::vector<std::int64_t> ints;  // of Kind::ints and axes; `bare` where a single number was given
  bool bare = false;
  std::optional<Dims> nest;  // the shape of the nested numbers, if they were rectangular
  std::string text;
  void* object = nullptr;  // borrowed, of Kind::object
  Dims dims() const {
    Dims d;
    for (auto v : ints) d.push(v);
    return d;
  }
  bool flag() const { return integer != 0; }
  DType dtype(DType fallback) const { return given ? static_cast<DType>(integer) : fallback; }
};
using Args = std::vector<Arg>;

// What operands are cast to before an op sees them: nothing, their common dtype, that or float32 if it is not a float
// dtype, the dtype of sums, or bool.
enum class Promote : std::uint8_t { none, common, floating, sum, boolean };

struct Op {
  const char* name;
  const char* doc = "";
  std::vector<Param> params = {};
  // Composites have only these: what the Python function of this name does with its arguments. A primitive without them
  // takes tensors only.
  Tensor (*call)(const Op&, Args&) = nullptr;
  std::vector<Tensor> (*call_many)(const Op&, Args&) = nullptr;
  // Primitives.
  void (*infer)(Call&) = nullptr;
  void (*compute)(const Call&) = nullptr;  // null: the result is a view
  // Of products: compute(), which reports every finished part of the result to `done`. Rows are counted through the
  // first `part_rows` dimensions, or all but the last -part_rows.
  void (*compute_parts)(const Call&, const k::Epilogue* done) = nullptr;
  int part_rows = -1;
  Promote promotes = Promote::none;  // what operands are cast to first
  std::vector<Vjp> vjp = {};         // one per input; the last serves all later inputs
  Jvp jvp = Jvp::by_vjp;
  JvpRule jvp_rule = nullptr;
  k::Kernel kernel = k::Kernel::count;      // of elementwise ops
  k::Loop (*loop)(const Call&) = nullptr;   // elementwise ops: the loop over contiguous elements that computes them
  k::Reduction fold = k::Reduction::count;  // of sum, max and min: the reduction that may end a group
  float cost = 0.1f;                        // nanoseconds per element, to choose the number of threads
  bool any_dtype = false;                   // copies elements of any dtype: bfloat16 is not converted to float32
  bool hidden = false;                      // used by rules, not exported to Python
  const char* subgradient = "";             // at points without a derivative, for the docs' table
};

using Rows = std::vector<Op>;
const Rows& all_ops();                     // ops/registry.cpp: every family's rows, in order
const Op& find_op(std::string_view name);  // ValueError for an unknown name, with suggestions

}  // namespace steep
