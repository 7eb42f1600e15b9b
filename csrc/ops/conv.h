// A convolution's geometry, read from attributes, and the three ways of running it. The rows are in conv.cpp.
#pragma once

#include "graph/mode.h"

namespace steep {

// The windows over the spatial dimensions: the attributes of convolutions, and of max pooling's positions. Output t
// reads the input at t * stride - begin + i * dilation.
struct Geometry {
  std::int64_t groups = 1;
  Precision precision = Precision::automatic;
  Dims stride, begin, end, dilation;
  Dims sizes;  // of the operand whose size the result's shape does not determine
  STEEP_ATTRIBUTES(groups, precision, stride, begin, end, dilation, sizes)

  static Geometry from(const AttrsRef& a);
  const Dims& needed_sizes() const;  // ValueError if there are none
  // With other sizes, and the precision of the enclosing block, so that a compiled step keeps it.
  Geometry with(const Dims& sizes) const;
  int n() const { return stride.size(); }
  // How many outputs a dimension of size `in` has under a kernel of size `taps`; below 1 where the kernel is too long.
  std::int64_t outputs(int d, std::int64_t in, std::int64_t taps) const;
};

// The spatial part of a shape: what follows its first two dimensions.
Dims spatial(const Dims& shape);

void compute_conv(const Call& c);  // (image, weight[, bias]) -> output
void compute_conv_parts(const Call& c, const k::Epilogue* done);
void compute_conv_input(const Call& c);  // (output's gradient, weight) -> the image's
void compute_conv_input_parts(const Call& c, const k::Epilogue* done);
void compute_conv_weight(const Call& c);  // (image, output's gradient) -> the weight's

// One number for every dimension, or one each, none below `least`.
Dims each_dimension(const char* op, const char* name, const Dims& given, int n, std::int64_t least);

Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias, const Geometry& g);  // bias may be null

// pool.cpp
Tensor take_planes(const Tensor& x, const Tensor& at);  // each plane of (N, C, ...) at its flat positions

}  // namespace steep
