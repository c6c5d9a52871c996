#include "core/ops/disagreement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/ops/checks.h"
#include "core/ops/cpu/parallel.h"
#include "core/ops/reference/element.h"

namespace trireme::ops {
namespace {

using reference::load;
using reference::store;

bool counts(const Tensor& counted, int64_t row) {
  return !counted.defined() || counted.data<int32_t>()[row] != 0;
}

int64_t num_counted(const Tensor& counted, int64_t begin, int64_t end) {
  int64_t count = 0;
  for (int64_t row = begin; row < end; ++row) count += counts(counted, row) ? 1 : 0;
  return count;
}

void check_counted(const char* op, const Tensor& counted, int64_t rows) {
  if (!counted.defined()) return;
  check_dtype(op, "counted", counted, DType::kInt32);
  check_contiguous(op, "counted", counted);
  if (counted.num_elements() != rows)
    throw_shape_error(op, "counted", "has shape " + to_string(counted.shape()),
                      fmt::format("{} elements, one a row", rows));
}

void check_doubles(const char* op, const char* argument, const Tensor& tensor) {
  check_dtype(op, argument, tensor, DType::kFloat64);
  check_contiguous(op, argument, tensor);
}

void check_sums(const char* op, const Tensor& sums, const Shape& shape) {
  check_doubles(op, "sums", sums);
  check_shape(op, "sums", sums, shape);
}

void check_samples(const char* op, const Tensor& sums, const Tensor& counted, const Tensor& values) {
  check_doubles(op, "sums", sums);
  check_doubles(op, "values", values);
  if (sums.dim() != 2 || values.num_elements() == 0 || sums.rows() % values.num_elements() != 0)
    throw_shape_error(op, "values", fmt::format("has {} samples", values.num_elements()),
                      fmt::format("a number that divides {} rows", sums.rows()));
  check_counted(op, counted, sums.rows());
}

void check_heads(const char* op, int64_t num_heads, const Tensor& x) {
  check_floating(op, "x", x);
  if (x.dim() != 2 || num_heads < 1 || x.cols() % num_heads != 0)
    throw_shape_error(op, "x", "has shape " + to_string(x.shape()),
                      fmt::format("[rows, a multiple of {} heads]", num_heads));
}

void check_maps(const char* op, const char* argument, const Tensor& maps) {
  check_floating(op, argument, maps);
  check_contiguous(op, argument, maps);
  if (maps.dim() != 4)
    throw_shape_error(op, argument, "has shape " + to_string(maps.shape()),
                      "[samples, heads, queries, keys]");
}

/// One over the length of a vector; 0 for zeros.
template <class T>
double inverse_norm(const T* x, int64_t dim) {
  double square = 0;
  for (int64_t i = 0; i < dim; ++i) square += load(x[i]) * load(x[i]);
  return square > 0 ? 1.0 / std::sqrt(square) : 0.0;
}

double pair_factor(int64_t num_heads) {
  return -1.0 / static_cast<double>(num_heads * num_heads);
}

/// Calls body(i) for every i below `count`, on all threads.
template <class Body>
void for_each(Context& context, int64_t count, Body&& body) {
  cpu::parallel_ranges(context, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}

}  // namespace

void head_disagreement_sums(Context& context, int64_t num_heads, const Tensor& x, Tensor& sums) {
  check_heads("head_disagreement_sums", num_heads, x);
  const int64_t dim = x.cols() / num_heads;
  check_sums("head_disagreement_sums", sums, {x.rows(), dim});
  const TraceSpan span(context.trace, "op/head_disagreement_sums");
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    for_each(context, x.rows(), [&](int64_t row) {
      double* sum = sums.row<double>(row);
      std::fill_n(sum, dim, 0.0);
      for (int64_t head = 0; head < num_heads; ++head) {
        const T* vector = x.row<T>(row) + head * dim;
        const double inverse = inverse_norm(vector, dim);
        for (int64_t i = 0; i < dim; ++i) sum[i] += load(vector[i]) * inverse;
      }
    });
  });
}

void map_disagreement_sums(Context& context, const Tensor& probabilities, Tensor& sums) {
  check_maps("map_disagreement_sums", "probabilities", probabilities);
  const int64_t H = probabilities.size(1), T = probabilities.size(2), S = probabilities.size(3);
  check_sums("map_disagreement_sums", sums, {probabilities.size(0) * T, S});
  const TraceSpan span(context.trace, "op/map_disagreement_sums");
  dispatch_floating(probabilities.dtype(), [&]<class Element>(Element) {
    for_each(context, sums.rows(), [&](int64_t row) {
      double* sum = sums.row<double>(row);
      std::fill_n(sum, S, 0.0);
      for (int64_t head = 0; head < H; ++head) {
        const Element* map = probabilities.row<Element>((row / T * H + head) * T + row % T);
        for (int64_t key = 0; key < S; ++key) sum[key] += load(map[key]);
      }
    });
  });
}

void disagreement_forward(Context& context, int64_t num_heads, const Tensor& sums, const Tensor& counted,
                          OverRows over_rows, Tensor& values) {
  check_samples("disagreement_forward", sums, counted, values);
  const TraceSpan span(context.trace, "op/disagreement_forward");
  const int64_t length = sums.rows() / values.num_elements();
  for_each(context, values.num_elements(), [&](int64_t sample) {
    const int64_t begin = sample * length, end = begin + length;
    double total = 0;
    for (int64_t row = begin; row < end; ++row) {
      if (!counts(counted, row)) continue;
      for (int64_t i = 0; i < sums.cols(); ++i) total += sums.row<double>(row)[i] * sums.row<double>(row)[i];
    }
    if (over_rows == OverRows::kMean)
      total /= static_cast<double>(std::max<int64_t>(1, num_counted(counted, begin, end)));
    values.data<double>()[sample] = pair_factor(num_heads) * total;
  });
}

/// d|s|^2 / dx_i = 2 (s - (s . u_i) u_i) / |x_i| with u_i = x_i / |x_i| and s = sum of u_i.
void head_disagreement_backward(Context& context, int64_t num_heads, const Tensor& x, const Tensor& sums,
                                const Tensor& counted, const Tensor& d_values, Tensor& d_x) {
  constexpr const char* kOp = "head_disagreement_backward";
  check_samples(kOp, sums, counted, d_values);
  const int64_t dim = sums.cols(), heads_here = x.cols() / dim;
  check_heads(kOp, heads_here, x);
  check_sums(kOp, sums, {x.rows(), dim});
  check_like(kOp, "d_x", d_x, "x", x);
  const TraceSpan span(context.trace, "op/head_disagreement_backward");
  const int64_t length = x.rows() / d_values.num_elements();
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    for_each(context, d_values.num_elements(), [&](int64_t sample) {
      const auto count = static_cast<double>(num_counted(counted, sample * length, (sample + 1) * length));
      const double factor = 2.0 * pair_factor(num_heads) * d_values.data<double>()[sample] / count;
      for (int64_t row = sample * length; row < (sample + 1) * length; ++row) {
        if (!counts(counted, row)) {
          std::fill_n(d_x.row<T>(row), x.cols(), T(0.0f));
          continue;
        }
        const double* sum = sums.row<double>(row);
        for (int64_t head = 0; head < heads_here; ++head) {
          const T* vector = x.row<T>(row) + head * dim;
          T* to = d_x.row<T>(row) + head * dim;
          const double inverse = inverse_norm(vector, dim);
          double along = 0;
          for (int64_t i = 0; i < dim; ++i) along += sum[i] * load(vector[i]) * inverse;
          for (int64_t i = 0; i < dim; ++i)
            store(to[i], factor * inverse * (sum[i] - along * load(vector[i]) * inverse));
        }
      }
    });
  });
}

void map_disagreement_backward(Context& context, int64_t num_heads, const Tensor& sums, const Tensor& counted,
                               const Tensor& d_values, Tensor& d_probabilities) {
  constexpr const char* kOp = "map_disagreement_backward";
  check_maps(kOp, "d_probabilities", d_probabilities);
  const int64_t H = d_probabilities.size(1), T = d_probabilities.size(2), S = d_probabilities.size(3);
  check_samples(kOp, sums, counted, d_values);
  check_sums(kOp, sums, {d_probabilities.size(0) * T, S});
  check_shape(kOp, "d_values", d_values, {d_probabilities.size(0)});
  const TraceSpan span(context.trace, "op/map_disagreement_backward");
  dispatch_floating(d_probabilities.dtype(), [&]<class Element>(Element) {
    for_each(context, sums.rows(), [&](int64_t row) {
      const double factor =
          counts(counted, row) ? 2.0 * pair_factor(num_heads) * d_values.data<double>()[row / T] : 0.0;
      for (int64_t head = 0; head < H; ++head) {
        Element* to = d_probabilities.row<Element>((row / T * H + head) * T + row % T);
        for (int64_t key = 0; key < S; ++key) store(to[key], factor * sums.row<double>(row)[key]);
      }
    });
  });
}

}  // namespace trireme::ops
