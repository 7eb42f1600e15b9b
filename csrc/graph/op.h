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
#include "graph/function.h"
#include "kernels/accuracy.h"

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

inline constexpr unsigned in0 = 1, in1 = 2, in2 = 4, save_out = 8, in3 = 16, nothing = 0;

// The gradient for one input: from the output's gradient g. May return a null tensor (no gradient) or one of the
// broadcast shape, which backward sums to the input's shape.
struct Vjp {
  Tensor (*rule)(const Rule&, const Tensor& g) = nullptr;
  unsigned saves = nothing;
  k::Kernel fused = k::Kernel::count;  // a kernel of (g, saved) equal to the rule, used when no graph is recorded
};

// For each input, whether its gradient is asked for. (Bytes: std::vector<bool> costs more than the rules of small ops.)
using Needed = std::vector<std::uint8_t>;

// The gradients of all inputs at once, where they share work: fills grads[i] for every input i with needed[i].
using JointVjp = void (*)(const Rule&, const Tensor& g, const Needed& needed, std::vector<Tensor>& grads);

// How tangents are propagated: diagonal, the vjp of a broadcast tangent (every elementwise op); linear, the op itself
// on the tangent of its one input; custom, a rule from the tangents of all inputs (null where none); otherwise by
// differentiating the vjp, which is linear in g.
enum class Jvp : std::uint8_t { by_vjp, diagonal, linear, custom };
using JvpRule = Tensor (*)(const Rule&, const Tensor* tangents);

// What operands are cast to before an op sees them: nothing, their common dtype, that or float32 if it is not a float
// dtype, the dtype of sums, or bool.
enum class Promote : std::uint8_t { none, common, floating, sum, boolean };

// The attributes of every row with a fold: passes read them too.
struct Reduce {
  Axes axes;
  bool keepdims = false;
  STEEP_ATTRIBUTES(axes, keepdims)
};

// Sources that many rows share.
inline constexpr const char* array_api = "The Python array API standard, data-apis.org/array-api, under this name.";
inline constexpr const char* like_numpy = "NumPy's function of this name, numpy.org/doc/stable.";
inline constexpr const char* like_torch = "PyTorch's function of this name, pytorch.org/docs.";

struct Op {
  const char* name;
  // The page of a function: what it computes, in the first sentence, then details; the other parts are optional.
  const char* doc = "";
  const char* returns = "";
  const char* raises = "";   // "ValueError: if ...", one per line
  const char* source = "";   // where a reader finds the definition
  const char* example = "";  // as in a doctest
  std::vector<Param> params = {};
  AttrNames attrs = {};  // of applications: attributes<A>(), A the struct that the row's code makes and reads
  // Composites have only these: what the Python function of this name does with its arguments. A primitive without them
  // takes tensors only.
  Function<Tensor> call = {};
  Function<std::vector<Tensor>> call_many = {};
  // Primitives.
  void (*infer)(Call&) = nullptr;
  void (*compute)(const Call&) = nullptr;  // null: the result is a view
  // Of products: compute(), which reports every finished part of the result to `done`. Rows are counted through the
  // first `part_rows` dimensions, or all but the last -part_rows.
  void (*compute_parts)(const Call&, const k::Epilogue* done) = nullptr;
  int part_rows = -1;
  int part_arrays = 1;  // of the result's size that a group may read besides a part, if it runs on parts
  // Of products: the row that adds the result to its last operand, and whether it may, with the same bits, of operands
  // of these shapes and this dtype.
  const char* adding = "";
  bool (*may_add)(const Dims& first, const Dims& second, DType) = nullptr;
  unsigned packs = nothing;          // operands that kernels rearrange: a program rearranges constant ones once
  Promote promotes = Promote::none;  // what operands are cast to first
  std::vector<Vjp> vjp = {};         // one per input; the last serves all later inputs
  JointVjp joint = nullptr;          // in place of the rules of vjp, of which only `saves` is read
  Jvp jvp = Jvp::by_vjp;
  JvpRule jvp_rule = nullptr;
  k::Kernel kernel = k::Kernel::count;      // of elementwise ops
  k::Loop (*loop)(const Call&) = nullptr;   // elementwise ops: the loop over contiguous elements that computes them
  k::Reduction fold = k::Reduction::count;  // of sum, max and min: the reduction that may end a group
  float cost = 0.1f;                        // nanoseconds per element, to choose the number of threads
  bool any_dtype = false;                   // copies elements of any dtype: bfloat16 is not converted to float32
  bool hidden = false;                      // not public: used by rules, or by steep's Python under a name with _
  // What passes, messages and the docs ask.
  bool copies = false;              // the result has the operand's elements and dtype
  bool may_raise = false;           // because of its operands' values, wherever it has no loop
  bool flat = false;                // its gradient is zero everywhere
  bool discrete = false;            // a composite that counts, finds or draws: its result has no gradient
  std::optional<DType> draws = {};  // random numbers, of this dtype unless another is asked for
  k::Accuracy ulp = {};             // greatest errors in units in the last place, where they are known
  const char* subgradient = "";     // at points without a derivative
};

using Rows = std::vector<Op>;
const Rows& all_ops();                     // ops/registry.cpp: every family's rows, in order
const Op& find_op(std::string_view name);  // ValueError for an unknown name, with suggestions

}  // namespace steep
