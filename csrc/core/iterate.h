// Walking strided memory: copies between any two layouts of one shape, and running an elementwise kernel, which
// reads contiguous operands only, over broadcast and strided ones. Start at run_loop().
#pragma once

#include "core/tensor.h"

namespace steep {

// dst and src have the same shape and dtype; they must not overlap unless identical.
void copy_strided(const Tensor& dst, const Tensor& src);

// Zeros in all of a contiguous tensor.
void fill_zero(const Tensor& t);

// A contiguous tensor with t's values: t itself when it is contiguous already.
Tensor contiguous(const Tensor& t);
// A contiguous tensor with t's values, in memory of its own.
Tensor copied(const Tensor& t);

// out[i] = loop(in0[i], in1[i], ...) with operands broadcast to out's shape. `out` has no gaps, in any order of its
// dimensions (core/layout.h), and may be the same tensor as an operand; `cost` is in nanoseconds per element.
void run_loop(k::Loop loop, const Tensor* in, int count, const Tensor& out, const double* params, double cost);

// Elements [begin, begin + n) of a strided operand in row-major order, one after the other to `to`. `item` is the
// element size in bytes; strides count elements. merge_dims() first merges neighbouring dimensions where strides allow,
// and drops those of size 1. broadcast_strides() are those of an operand over a wider shape, 0 where it is repeated.
void gather(char* to, const char* base, std::int64_t item, const Dims& shape, const Dims& strides, std::int64_t begin,
            std::int64_t n);
void merge_dims(Dims& shape, Dims& strides);
Dims broadcast_strides(const Dims& shape, const Dims& strides, const Dims& wide);

// Whether writing to `dst` could change what `src` reads, identical layouts excepted.
bool may_overlap(const Tensor& dst, const Tensor& src);

}  // namespace steep
