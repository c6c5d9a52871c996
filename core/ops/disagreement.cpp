#include "core/ops/disagreement.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

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

void check_values(const char* op, const char* argument, const Tensor& values) {
  check_dtype(op, argument, values, DType::kFloat64);
  check_contiguous(op, argument, values);
}

void check_heads(const char* op, int64_t num_heads, const Tensor& x, const Tensor& counted,
                 const Tensor& values) {
  check_floating(op, "x", x);
  check_values(op, "values", values);
  if (x.dim() != 2 || num_heads < 1 || x.cols() % num_heads != 0)
    throw_shape_error(op, "x", "has shape " + to_string(x.shape()),
                      fmt::format("[rows, a multiple of {} heads]", num_heads));
  if (values.num_elements() == 0 || x.rows() % values.num_elements() != 0)
    throw_shape_error(op, "values", fmt::format("has {} samples", values.num_elements()),
                      fmt::format("a number that divides {} rows", x.rows()));
  check_counted(op, counted, x.rows());
}

void check_maps(const char* op, const Tensor& probabilities, const Tensor& counted, const Tensor& values) {
  check_floating(op, "probabilities", probabilities);
  check_contiguous(op, "probabilities", probabilities);
  check_values(op, "values", values);
  if (probabilities.dim() != 4)
    throw_shape_error(op, "probabilities", "has shape " + to_string(probabilities.shape()),
                      "[samples, heads, queries, keys]");
  check_shape(op, "values", values, {probabilities.size(0)});
  check_counted(op, counted, probabilities.size(0) * probabilities.size(2));
}

/// The heads' vectors of one row, of length one, and their sum.
struct UnitHeads {
  UnitHeads(int64_t num_heads, int64_t dim)
      : num_heads(num_heads), dim(dim), unit(num_heads * dim), inverse_norm(num_heads), sum(dim) {}
  template <class T>
  void read(const T* row) {
    std::fill(sum.begin(), sum.end(), 0.0);
    for (int64_t head = 0; head < num_heads; ++head) {
      double square = 0;
      for (int64_t i = head * dim; i < (head + 1) * dim; ++i) square += load(row[i]) * load(row[i]);
      inverse_norm[head] = square > 0 ? 1.0 / std::sqrt(square) : 0.0;
      for (int64_t i = 0; i < dim; ++i) {
        unit[head * dim + i] = load(row[head * dim + i]) * inverse_norm[head];
        sum[i] += unit[head * dim + i];
      }
    }
  }
  int64_t num_heads, dim;
  std::vector<double> unit, inverse_norm, sum;
};

double pair_factor(int64_t num_heads) {
  return -1.0 / static_cast<double>(num_heads * num_heads);
}

/// Adds the maps of all heads up for one query of a sample.
template <class T>
void add_heads(const Tensor& probabilities, int64_t sample, int64_t query, std::vector<double>& sums) {
  const int64_t num_heads = probabilities.size(1);
  std::fill(sums.begin(), sums.end(), 0.0);
  for (int64_t head = 0; head < num_heads; ++head) {
    const T* from = probabilities.row<T>((sample * num_heads + head) * probabilities.size(2) + query);
    for (size_t key = 0; key < sums.size(); ++key) sums[key] += load(from[key]);
  }
}

/// Calls body(sample) on all threads.
template <class Body>
void for_each_sample(Context& context, int64_t num_samples, Body&& body) {
  cpu::parallel_ranges(context, num_samples, 1, [&](int64_t begin, int64_t end) {
    for (int64_t sample = begin; sample < end; ++sample) body(sample);
  });
}

}  // namespace

void head_disagreement_forward(Context& context, int64_t num_heads, const Tensor& x, const Tensor& counted,
                               Tensor& values) {
  check_heads("head_disagreement_forward", num_heads, x, counted, values);
  const TraceSpan span(context.trace, "op/head_disagreement_forward");
  const int64_t length = x.rows() / values.num_elements();
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    for_each_sample(context, values.num_elements(), [&](int64_t sample) {
      UnitHeads heads(num_heads, x.cols() / num_heads);
      double total = 0;
      for (int64_t row = sample * length; row < (sample + 1) * length; ++row) {
        if (!counts(counted, row)) continue;
        heads.read(x.row<T>(row));
        for (const double sum : heads.sum) total += sum * sum;
      }
      const int64_t count = num_counted(counted, sample * length, (sample + 1) * length);
      values.data<double>()[sample] =
          count == 0 ? 0.0 : pair_factor(num_heads) * total / static_cast<double>(count);
    });
  });
}

/// d|s|^2 / dx_i = 2 (s - (s . u_i) u_i) / |x_i| with u_i = x_i / |x_i| and s = sum of u_i.
void head_disagreement_backward(Context& context, int64_t num_heads, const Tensor& x, const Tensor& counted,
                                const Tensor& d_values, Tensor& d_x) {
  check_heads("head_disagreement_backward", num_heads, x, counted, d_values);
  check_like("head_disagreement_backward", "d_x", d_x, "x", x);
  const TraceSpan span(context.trace, "op/head_disagreement_backward");
  const int64_t length = x.rows() / d_values.num_elements(), dim = x.cols() / num_heads;
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    for_each_sample(context, d_values.num_elements(), [&](int64_t sample) {
      UnitHeads heads(num_heads, dim);
      const auto count = static_cast<double>(num_counted(counted, sample * length, (sample + 1) * length));
      const double factor = 2.0 * pair_factor(num_heads) * d_values.data<double>()[sample] / count;
      for (int64_t row = sample * length; row < (sample + 1) * length; ++row) {
        T* to = d_x.row<T>(row);
        if (!counts(counted, row)) {
          std::fill_n(to, x.cols(), T(0.0f));
          continue;
        }
        heads.read(x.row<T>(row));
        for (int64_t head = 0; head < num_heads; ++head) {
          const double* unit = &heads.unit[head * dim];
          double along = 0;
          for (int64_t i = 0; i < dim; ++i) along += heads.sum[i] * unit[i];
          for (int64_t i = 0; i < dim; ++i)
            store(to[head * dim + i], factor * heads.inverse_norm[head] * (heads.sum[i] - along * unit[i]));
        }
      }
    });
  });
}

void map_disagreement_forward(Context& context, const Tensor& probabilities, const Tensor& counted,
                              Tensor& values) {
  check_maps("map_disagreement_forward", probabilities, counted, values);
  const TraceSpan span(context.trace, "op/map_disagreement_forward");
  const int64_t H = probabilities.size(1), T = probabilities.size(2), S = probabilities.size(3);
  dispatch_floating(probabilities.dtype(), [&]<class Element>(Element) {
    for_each_sample(context, probabilities.size(0), [&](int64_t sample) {
      std::vector<double> sums(static_cast<size_t>(S));
      double total = 0;
      for (int64_t query = 0; query < T; ++query) {
        if (!counts(counted, sample * T + query)) continue;
        add_heads<Element>(probabilities, sample, query, sums);
        for (const double sum : sums) total += sum * sum;
      }
      values.data<double>()[sample] = pair_factor(H) * total;
    });
  });
}

void map_disagreement_backward(Context& context, const Tensor& probabilities, const Tensor& counted,
                               const Tensor& d_values, Tensor& d_probabilities) {
  check_maps("map_disagreement_backward", probabilities, counted, d_values);
  check_like("map_disagreement_backward", "d_probabilities", d_probabilities, "probabilities", probabilities);
  check_contiguous("map_disagreement_backward", "d_probabilities", d_probabilities);
  const TraceSpan span(context.trace, "op/map_disagreement_backward");
  const int64_t H = probabilities.size(1), T = probabilities.size(2), S = probabilities.size(3);
  dispatch_floating(probabilities.dtype(), [&]<class Element>(Element) {
    for_each_sample(context, probabilities.size(0), [&](int64_t sample) {
      const double factor = 2.0 * pair_factor(H) * d_values.data<double>()[sample];
      std::vector<double> sums(static_cast<size_t>(S));
      for (int64_t query = 0; query < T; ++query) {
        std::fill(sums.begin(), sums.end(), 0.0);
        if (counts(counted, sample * T + query)) add_heads<Element>(probabilities, sample, query, sums);
        for (int64_t head = 0; head < H; ++head) {
          Element* to = d_probabilities.row<Element>((sample * H + head) * T + query);
          for (int64_t key = 0; key < S; ++key) store(to[key], factor * sums[static_cast<size_t>(key)]);
        }
      }
    });
  });
}

}  // namespace trireme::ops
