// When a recording may be replayed. Start reading at Recording::accepts.
#include "bindings/recording.h"

#include <pybind11/stl.h>

#include <algorithm>

namespace steep {
namespace {

PyObject* pack(Shape shape, const std::vector<Tensor>& results) {
  if (shape == Shape::none) return Py_NewRef(Py_None);
  if (shape == Shape::one) return wrap(results[0]);
  py::tuple all(results.size());
  for (std::size_t i = 0; i < results.size(); ++i)
    PyTuple_SET_ITEM(all.ptr(), static_cast<Py_ssize_t>(i), wrap(results[i]));
  return all.release().ptr();
}

PyObject* const* items_of(const py::list& leaves) { return reinterpret_cast<PyListObject*>(leaves.ptr())->ob_item; }

// A layer may hold a compiled function whose guards hold the layer.
void collectable(PyHeapTypeObject* heap_type) {
  checked_memory(heap_type);
  PyTypeObject& type = heap_type->ht_type;
  type.tp_flags |= Py_TPFLAGS_HAVE_GC;
  type.tp_traverse = [](PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    const auto* instance = reinterpret_cast<py::detail::instance*>(self);
    return instance->simple_holder_constructed ? py::handle(self).cast<Recording&>().traverse(visit, arg) : 0;
  };
  type.tp_clear = [](PyObject* self) {
    py::handle(self).cast<Recording&>().clear();
    return 0;
  };
}

std::shared_ptr<Recording> make_recording(std::shared_ptr<Replay> replay, const py::list& arguments,
                                          std::vector<bool> requires_grad, const py::list& guards,
                                          const std::vector<py::object>& refresh) {
  Recording::Conditions all{.arguments = {}, .requires_grad = std::move(requires_grad), .guards = {}};
  for (const py::handle a : arguments)  // None in a list of one: any tensor
    all.arguments.push_back(a.is_none() ? py::object() : py::reinterpret_borrow<py::object>(a.cast<py::tuple>()[0]));
  for (const py::handle g : guards) all.guards.push_back(g.cast<const Guard&>());
  return std::make_shared<Recording>(std::move(replay), std::move(all), refresh);
}

}  // namespace

struct Recording::Use {
  Recording& r;
  explicit Use(Recording& recording) : r(recording) { r.in_use_ = true; }
  ~Use() {
    r.tensors_.clear();
    r.results_.clear();
    r.in_use_ = false;
  }
};

Recording::Recording(std::shared_ptr<Replay> replay, Conditions conditions, std::vector<py::object> refresh)
    : replay_(std::move(replay)),
      conditions_(std::move(conditions)),
      refresh_(std::move(refresh)),
      grad_(grad_enabled()),
      precision_(matmul_precision()) {}

PyObject* Recording::run(PyObject* const* given, std::size_t count, Shape shape) {
  if (in_use_) return nullptr;
  const Use use(*this);
  if (!accepts(given, count)) return nullptr;
  for (const py::object& set : refresh_) set();
  replay_->run(tensors_.data(), results_);
  return pack(shape, results_);
}

bool Recording::is_for(PyObject* const* given, std::size_t count) {
  if (in_use_) return false;
  const Use use(*this);
  return accepts(given, count);
}

std::string Recording::change() const {
  for (const Guard& g : conditions_.guards)
    if (std::string text = g.change(); !text.empty()) return text;
  return "";
}

int Recording::traverse(visitproc visit, void* arg) const {
  for (const auto* all : {&conditions_.arguments, &refresh_})
    for (const py::object& o : *all) Py_VISIT(o.ptr());
  for (const Guard& g : conditions_.guards)
    if (const int stop = g.traverse(visit, arg)) return stop;
  return 0;
}

void Recording::clear() {
  const Recording moved(std::move(*this));
  in_use_ = true;  // for good
}

bool Recording::modes_hold() const {
  const Mode& m = mode();
  return m.grad == grad_ && matmul_precision() == precision_ && !m.anomaly && !m.keeps_values && !m.recorder &&
         !m.overridden;
}

bool Recording::accepts_argument(std::size_t i, PyObject* given) {
  PyObject* wanted = conditions_.arguments[i].ptr();
  if (wanted) return same_value(wanted, given);
  if (!is_tensor(given)) return false;
  tensors_.push_back(borrow(given));
  return (tensors_.back()->node != nullptr) == conditions_.requires_grad[i];
}

bool Recording::accepts(PyObject* const* given, std::size_t count) {
  if (count != conditions_.arguments.size() || !modes_hold()) return false;
  for (std::size_t i = 0; i < count; ++i)
    if (!accepts_argument(i, given[i])) return false;
  return std::ranges::all_of(conditions_.guards, &Guard::holds) &&
         replay_->accepts(tensors_.data(), static_cast<int>(tensors_.size()));
}

void bind_recording(py::module_& m) {
  py::class_<Recording, std::shared_ptr<Recording>>(m, "_Recording", py::custom_type_setup(collectable))
      .def(py::init(&make_recording))
      .def(
          "run",
          [](Recording& r, const py::list& leaves) -> py::object {
            PyObject* all = r.run(items_of(leaves), leaves.size(), Shape::tuple);
            return all ? py::reinterpret_steal<py::object>(all) : py::none();
          },
          "The results as a tuple; None where the call is none that the recording stands for.")
      .def("accepts", [](Recording& r, const py::list& leaves) { return r.is_for(items_of(leaves), leaves.size()); })
      .def("change", &Recording::change, "What guarded value changed since, in words; empty if none did.");
}

}  // namespace steep
