// make_table(): the table of one instruction set, from kernels.def and the .inl.h files beside it. An isa_<name>.cpp
// includes this file inside its own namespace. Everything is a constant expression: the table is constant data of the
// library, without initialisation at load time. Start reading at make_table.

#include "kernels/vec.h"
#include "kernels/math.inl.h"
#include "kernels/math64.inl.h"
#include "kernels/inverse.inl.h"
#include "kernels/power.inl.h"
#include "kernels/arithmetic.inl.h"
#include "kernels/elementwise.inl.h"
#include "kernels/loops.inl.h"
#include "kernels/reduce.inl.h"
#include "kernels/losses.inl.h"
#include "kernels/norm.inl.h"
#include "kernels/softmax.inl.h"
#include "kernels/batch_norm.inl.h"
#include "kernels/group_norm.inl.h"
#include "kernels/random.inl.h"
#include "kernels/gemm_micro.inl.h"
#include "kernels/gemm_transpose.inl.h"
#include "kernels/gemm_pack.inl.h"
#include "kernels/gemm_stream.inl.h"
#include "kernels/gemm.inl.h"
#include "kernels/gemm_shared.inl.h"
#include "kernels/split_pack.inl.h"
#include "kernels/split_lanes.inl.h"
#include "kernels/split_guard.inl.h"
#include "kernels/split_plain.inl.h"
#include "kernels/split.inl.h"
#include "kernels/conv_pack.inl.h"
#include "kernels/conv_places.inl.h"
#include "kernels/conv_canvas.inl.h"
#include "kernels/split_canvas.inl.h"
#include "kernels/split_conv.inl.h"
#include "kernels/split_conv_weight.inl.h"
#include "kernels/conv_sweep.inl.h"
#include "kernels/conv_flat.inl.h"
#include "kernels/conv_channels.inl.h"
#include "kernels/conv_images.inl.h"
#include "kernels/conv_weight.inl.h"
#include "kernels/conv_weight_canvas.inl.h"
#include "kernels/conv_columns.inl.h"
#include "kernels/conv.inl.h"
#include "kernels/winograd_points.inl.h"
#include "kernels/winograd.inl.h"
#include "kernels/depthwise.inl.h"
#include "kernels/pool.inl.h"
#include "kernels/sort.inl.h"

template <class F> constexpr void fill_float1(Loop* t) {
  t[f32] = &loop1<F, float>;
  t[f64] = &loop1<F, double>;
}
template <class F> constexpr void fill_float2(Loop* t) {
  t[f32] = &loop2<F, float>;
  t[f64] = &loop2<F, double>;
}
template <class F> constexpr void fill_float3(Loop* t) {
  t[f32] = &loop3<F, float>;
  t[f64] = &loop3<F, double>;
}
template <class F> constexpr void fill_num1(Loop* t) {
  t[u8] = &plain1<F, std::uint8_t, std::uint8_t>;
  t[i32] = &plain1<F, std::int32_t, std::int32_t>;
  t[i64] = &plain1<F, std::int64_t, std::int64_t>;
  fill_float1<F>(t);
}
template <class F> constexpr void fill_num2(Loop* t) {
  t[u8] = &plain2<F, std::uint8_t, std::uint8_t>;
  t[i32] = &plain2<F, std::int32_t, std::int32_t>;
  t[i64] = &plain2<F, std::int64_t, std::int64_t>;
  fill_float2<F>(t);
}
template <class F> constexpr void fill_int2(Loop* t) {
  t[b8] = &plain2<F, bool, bool>;
  t[u8] = &plain2<F, std::uint8_t, std::uint8_t>;
  t[i32] = &plain2<F, std::int32_t, std::int32_t>;
  t[i64] = &plain2<F, std::int64_t, std::int64_t>;
}
template <class F> constexpr void fill_cmp1(Loop* t) {
  t[f32] = &plain1<F, float, bool>;
  t[f64] = &plain1<F, double, bool>;
}
template <class F> constexpr void fill_cmp2(Loop* t) {
  t[b8] = &plain2<F, bool, bool>;
  t[u8] = &plain2<F, std::uint8_t, bool>;
  t[i32] = &plain2<F, std::int32_t, bool>;
  t[i64] = &plain2<F, std::int64_t, bool>;
  t[f32] = &plain2<F, float, bool>;
  t[f64] = &plain2<F, double, bool>;
}

constexpr void fill_loops(Table& t) {
#define STEEP_AT(name) t.loop[Kernel::name]
#define FLOAT1(name) fill_float1<op::name>(STEEP_AT(name));
#define FLOAT1_DF(name)                  \
  fill_float1<op::name>(STEEP_AT(name)); \
  fill_float2<Chained<op::name>>(STEEP_AT(name##_df));
#define NUM1(name) fill_num1<op::name>(STEEP_AT(name));
#define FLOAT2(name) fill_float2<op::name>(STEEP_AT(name));
#define FLOAT3(name) fill_float3<op::name>(STEEP_AT(name));
#define NUM2(name) fill_num2<op::name>(STEEP_AT(name));
#define INT2(name) fill_int2<op::name>(STEEP_AT(name));
#define CMP1(name) fill_cmp1<op::name>(STEEP_AT(name));
#define CMP2(name) fill_cmp2<op::name>(STEEP_AT(name));
#define BOOL1(name) STEEP_AT(name)[b8] = &plain1<op::name, bool, bool>;
#define BOOL2(name) STEEP_AT(name)[b8] = &plain2<op::name, bool, bool>;
#include "kernels/kernels.def"
#undef STEEP_AT
}

template <class From> constexpr void fill_cast(Loop* t) {
  t[b8] = &cast_loop<From, bool>;
  t[u8] = &cast_loop<From, std::uint8_t>;
  t[i32] = &cast_loop<From, std::int32_t>;
  t[i64] = &cast_loop<From, std::int64_t>;
  t[bf16] = &cast_loop<From, bfloat16>;
  t[f32] = &cast_loop<From, float>;
  t[f64] = &cast_loop<From, double>;
}

template <class T> constexpr void fill_type(Table& t, Type type) {
  t.where[type] = &where_loop<T>;
  t.keys_of[type] = &sorting::keys_of<T>;
  t.elements_of[type] = &sorting::elements_of<T>;
  fill_cast<T>(t.cast[type]);
  t.row_reduce[Reduction::argmax][type] = &row_arg<Max, T>;
  t.row_reduce[Reduction::argmin][type] = &row_arg<Min, T>;
  t.col_reduce[Reduction::argmax][type] = &col_arg<Max, T>;
  t.col_reduce[Reduction::argmin][type] = &col_arg<Min, T>;
}

template <class F, class T> constexpr void fill_fold(Table& t, Reduction r, Type type) {
  t.row_reduce[r][type] = &row_fold<F, T>;
  t.col_reduce[r][type] = &col_fold<F, T>;
}
template <class T> constexpr void fill_number(Table& t, Type type) {
  fill_fold<Sum, T>(t, Reduction::sum, type);
  fill_fold<Prod, T>(t, Reduction::prod, type);
  fill_fold<Max, T>(t, Reduction::max, type);
  fill_fold<Min, T>(t, Reduction::min, type);
  t.row_map[RowMap::cumsum][type] = &row_cumsum<T>;
  t.row_map[RowMap::cumprod][type] = &row_scan<op::multiply, T>;
}
template <class T> constexpr void fill_float(Table& t, Type type) {
  t.row_map[RowMap::softmax][type] = &row_softmax<T>;
  t.row_map[RowMap::log_softmax][type] = &row_log_softmax<T>;
  t.col_map[RowMap::softmax][type] = &col_softmax<T>;
  t.col_map[RowMap::log_softmax][type] = &col_log_softmax<T>;
  t.softmax_gradient[type] = &softmax_gradient<T>;
  t.col_softmax_gradient[type] = &col_softmax_gradient<T>;
  t.row_reduce[Reduction::squares][type] = &row_squares<T>;
  t.col_reduce[Reduction::squares][type] = &col_squares<T>;
  t.cross_entropy[type] = &row_cross_entropy<T>;
  t.cross_entropy_gradient[type] = &row_cross_entropy_gradient<T>;
  t.norm[type] = &norm_rows<T>;
  t.norm_gradient[type] = &norm_gradient<T>;
  t.norm_sums[type] = &norm_sums<T>;
  t.batch_moments[type] = &batch_moments<T>;
  t.batch_norm[type] = &batch_norm<T>;
  t.batch_norm_gradient[type] = &batch_norm_gradient<T>;
  t.group_norm[type] = &group_norm<T>;
  t.group_norm_gradient[type] = &group_norm_gradient<T>;
  t.uniform[type] = &random_fill<Uniform<T>>;
  t.normal[type] = &random_fill<Normal<T>>;
}

constexpr void fill_gemm(Table& t) {
  t.transpose[f32] = &gemm::transposed_copy<float>;
  t.transpose[f64] = &gemm::transposed_copy<double>;
  t.gemm[f32] = &gemm::run<float>;
  t.gemm[f64] = &gemm::run<double>;
  t.share[f32] = {&gemm::shared_size<float>, &gemm::pack_shared<float>};
  t.share[f64] = {&gemm::shared_size<double>, &gemm::pack_shared<double>};
  t.gemm[u8] = &gemm::run_integers<std::uint8_t>;
  t.gemm[i32] = &gemm::run_integers<std::int32_t>;
  t.gemm[i64] = &gemm::run_integers<std::int64_t>;
  t.pieces = {2 * gemm::tile_rows, 64, gemm::least_length, lanes<float>, gemm::most_depth, INT64_MAX};
  t.split = split::products<split::Plain>;
}

template <class T> constexpr void fill_conv(Table& t, Type type) {
  t.correlate[type] = &conv::correlate<T>;
  t.correlate_weight[type] = &conv::correlate_weight<T>;
  t.depthwise[type] = &conv::depthwise<T>;
  t.depthwise_weight[type] = &conv::depthwise_weight<T>;
  t.pool_max[type] = &pool::largest_values<T>;
  t.pool_positions[type] = &pool::largest_positions<T>;
}

template <class K> constexpr void fill_sort(Table& t, Type type) {
  t.sort_rows[type] = &sorting::sort_rows<K>;
  t.find_buckets[type] = &sorting::find_buckets<K>;
}

constexpr Table make_table(const char* isa) {
  Table t{};
  t.isa = isa;
  t.winograd = &winograd::correlate;
  t.winograd_weight = &winograd::weight_at_points;
  fill_loops(t);
  fill_type<bool>(t, b8);
  fill_type<std::uint8_t>(t, u8);
  fill_type<std::int32_t>(t, i32);
  fill_type<std::int64_t>(t, i64);
  t.where[bf16] = &where_loop<bfloat16>;
  fill_cast<bfloat16>(t.cast[bf16]);
  fill_type<float>(t, f32);
  fill_type<double>(t, f64);
  fill_fold<Or, std::uint8_t>(t, Reduction::any, b8);
  fill_fold<And, std::uint8_t>(t, Reduction::all, b8);
  fill_number<std::uint8_t>(t, u8);
  fill_number<std::int32_t>(t, i32);
  fill_number<std::int64_t>(t, i64);
  fill_number<float>(t, f32);
  fill_number<double>(t, f64);
  fill_float<float>(t, f32);
  fill_float<double>(t, f64);
  t.bits = &random_fill<Bits>;
  fill_gemm(t);
  fill_conv<float>(t, f32);
  fill_conv<double>(t, f64);
  fill_sort<std::int32_t>(t, i32);
  fill_sort<std::int64_t>(t, i64);
  return t;
}
