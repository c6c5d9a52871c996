#include "core/ops/batch_norm.h"

#include <fmt/format.h>

#include <cmath>

#include "core/base/error.h"
#include "core/ops/checks.h"
#include "core/ops/cpu/parallel.h"
#include "core/ops/reference/element.h"

namespace trireme::ops {
namespace {

using reference::load;
using reference::store;
using reference::Wide;

void check_vector(const char* op, const char* argument, const Tensor& tensor, int64_t length, DType dtype) {
  check_shape(op, argument, tensor, {length});
  check_dtype(op, argument, tensor, dtype);
}

void check_rows(const char* op, const Tensor& x, const Tensor& counted) {
  check_floating(op, "x", x);
  if (x.dim() != 2) throw_shape_error(op, "x", "has shape " + to_string(x.shape()), "[rows, features]");
  if (!counted.defined()) return;
  check_dtype(op, "counted", counted, DType::kInt32);
  check_contiguous(op, "counted", counted);
  if (counted.num_elements() != x.rows())
    throw_shape_error(op, "counted", "has shape " + to_string(counted.shape()),
                      fmt::format("{} elements, one a row", x.rows()));
}

void check_statistics(const char* op, const Tensor& x, const Tensor& mean, const Tensor& rstd) {
  check_vector(op, "mean", mean, x.cols(), wide_dtype(x.dtype()));
  check_vector(op, "rstd", rstd, x.cols(), wide_dtype(x.dtype()));
}

bool counts(const Tensor& counted, int64_t row) {
  return !counted.defined() || counted.data<int32_t>()[row] != 0;
}

/// Calls body(row, first column, end) for the rows that count, in order, on columns that one thread owns:
/// sums do not depend on the number of threads.
template <class Body>
void for_each_row_of_columns(Context& context, const Tensor& x, const Tensor& counted, Body&& body) {
  constexpr int64_t kColumns = 16;
  cpu::parallel_ranges(context, x.cols(), kColumns, [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < x.rows(); ++row)
      if (counts(counted, row)) body(row, begin, end);
  });
}

/// Calls body(row) for the rows that count; the others of `result` become zeros.
template <class T, class Body>
void for_each_row(Context& context, const Tensor& counted, Tensor& result, Body&& body) {
  cpu::parallel_rows(context, result.rows(), result.cols(), [&](const cpu::Block& block) {
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      if (counts(counted, row)) {
        body(row);
      } else {
        std::fill_n(result.row<T>(row), result.cols(), T(0.0f));
      }
    }
  });
}

/// Mean and biased variance of one column.
struct Moments {
  Moments(const Tensor& sums, int64_t col) {
    const int64_t cols = (sums.num_elements() - 1) / 2;
    const double* of = sums.data<double>();
    mean = of[col] / of[2 * cols];
    variance = std::max(0.0, of[cols + col] / of[2 * cols] - mean * mean);
  }
  double mean, variance;
};

/// Checks sums and what has one value a feature; gives the number of rows.
double check_sums(const char* op, const Tensor& sums, const Tensor& first, const Tensor& second,
                  double least) {
  const int64_t cols = first.num_elements();
  check_vector(op, "sums", sums, 2 * cols + 1, DType::kFloat64);
  check_floating(op, "mean", first);
  check_vector(op, "variance", second, cols, first.dtype());
  const double count = sums.data<double>()[2 * cols];
  if (count < least)
    throw DataError(fmt::format("{}: {} rows count, {} are needed; a batch must hold that many tokens", op,
                                count, least));
  return count;
}

}  // namespace

void batch_norm_sums(Context& context, const Tensor& x, const Tensor& counted, Tensor& sums) {
  check_rows("batch_norm_sums", x, counted);
  check_vector("batch_norm_sums", "sums", sums, 2 * x.cols() + 1, DType::kFloat64);
  const TraceSpan span(context.trace, "op/batch_norm_sums");
  double *sum = sums.data<double>(), *squares = sum + x.cols();
  std::fill_n(sum, sums.num_elements(), 0.0);
  for (int64_t row = 0; row < x.rows(); ++row) squares[x.cols()] += counts(counted, row) ? 1.0 : 0.0;
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    for_each_row_of_columns(context, x, counted, [&](int64_t row, int64_t begin, int64_t end) {
      const T* from = x.row<T>(row);
      for (int64_t col = begin; col < end; ++col) {
        const double value = load(from[col]);
        sum[col] += value;
        squares[col] += value * value;
      }
    });
  });
}

void batch_norm_statistics(Context&, const Tensor& sums, double eps, Tensor& mean, Tensor& rstd) {
  check_sums("batch_norm_statistics", sums, mean, rstd, 1.0);
  dispatch_floating(mean.dtype(), [&]<class T>(T) {
    for (int64_t col = 0; col < mean.num_elements(); ++col) {
      const Moments of(sums, col);
      store(mean.data<T>()[col], of.mean);
      store(rstd.data<T>()[col], 1.0 / std::sqrt(of.variance + eps));
    }
  });
}

void batch_norm_forward(Context& context, const Tensor& x, const Tensor& counted, const Tensor& mean,
                        const Tensor& rstd, const Tensor& weight, const Tensor& bias, Tensor& y) {
  constexpr const char* kOp = "batch_norm_forward";
  check_rows(kOp, x, counted);
  check_statistics(kOp, x, mean, rstd);
  check_vector(kOp, "weight", weight, x.cols(), x.dtype());
  check_vector(kOp, "bias", bias, x.cols(), x.dtype());
  check_like(kOp, "y", y, "x", x);
  const TraceSpan span(context.trace, "op/batch_norm_forward");
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    const Wide<T>*center = mean.data<Wide<T>>(), *scale = rstd.data<Wide<T>>();
    const T *w = weight.data<T>(), *b = bias.data<T>();
    for_each_row<T>(context, counted, y, [&](int64_t row) {
      const T* from = x.row<T>(row);
      T* to = y.row<T>(row);
      for (int64_t col = 0; col < x.cols(); ++col)
        store(to[col], (load(from[col]) - center[col]) * scale[col] * load(w[col]) + load(b[col]));
    });
  });
}

void update_running_statistics(Context&, const Tensor& sums, double momentum, Tensor& running_mean,
                               Tensor& running_variance) {
  const double count = check_sums("update_running_statistics", sums, running_mean, running_variance, 2.0);
  dispatch_floating(running_mean.dtype(), [&]<class T>(T) {
    const auto move = [&](T& running, double value) {
      store(running, (1.0 - momentum) * load(running) + momentum * value);
    };
    for (int64_t col = 0; col < running_mean.num_elements(); ++col) {
      const Moments of(sums, col);
      move(running_mean.data<T>()[col], of.mean);
      move(running_variance.data<T>()[col], of.variance * count / (count - 1.0));
    }
  });
}

void running_statistics(Context&, const Tensor& running_mean, const Tensor& running_variance, double eps,
                        Tensor& mean, Tensor& rstd) {
  constexpr const char* kOp = "running_statistics";
  check_floating(kOp, "running_mean", running_mean);
  check_like(kOp, "running_variance", running_variance, "running_mean", running_mean);
  check_like(kOp, "mean", mean, "running_mean", running_mean);
  check_like(kOp, "rstd", rstd, "running_mean", running_mean);
  dispatch_floating(mean.dtype(), [&]<class T>(T) {
    for (int64_t col = 0; col < mean.num_elements(); ++col) {
      mean.data<T>()[col] = running_mean.data<T>()[col];
      store(rstd.data<T>()[col], 1.0 / std::sqrt(load(running_variance.data<T>()[col]) + eps));
    }
  });
}

void batch_norm_backward_sums(Context& context, const Tensor& d_y, const Tensor& x, const Tensor& counted,
                              const Tensor& mean, const Tensor& rstd, Tensor& sums) {
  constexpr const char* kOp = "batch_norm_backward_sums";
  check_rows(kOp, x, counted);
  check_like(kOp, "d_y", d_y, "x", x);
  check_statistics(kOp, x, mean, rstd);
  check_vector(kOp, "sums", sums, 2 * x.cols(), DType::kFloat64);
  const TraceSpan span(context.trace, "op/batch_norm_backward_sums");
  double *sum = sums.data<double>(), *with_xhat = sum + x.cols();
  std::fill_n(sum, sums.num_elements(), 0.0);
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    const Wide<T>*center = mean.data<Wide<T>>(), *scale = rstd.data<Wide<T>>();
    for_each_row_of_columns(context, x, counted, [&](int64_t row, int64_t begin, int64_t end) {
      const T *from = x.row<T>(row), *d_out = d_y.row<T>(row);
      for (int64_t col = begin; col < end; ++col) {
        const double gradient = load(d_out[col]);
        sum[col] += gradient;
        with_xhat[col] += gradient * (load(from[col]) - center[col]) * scale[col];
      }
    });
  });
}

void batch_norm_backward(Context& context, const Tensor& d_y, const Tensor& x, const Tensor& counted,
                         const Tensor& mean, const Tensor& rstd, const Tensor& weight, const Tensor* sums,
                         double count, Tensor& d_x) {
  constexpr const char* kOp = "batch_norm_backward";
  check_rows(kOp, x, counted);
  check_like(kOp, "d_y", d_y, "x", x);
  check_statistics(kOp, x, mean, rstd);
  check_vector(kOp, "weight", weight, x.cols(), x.dtype());
  if (sums != nullptr) check_vector(kOp, "sums", *sums, 2 * x.cols(), DType::kFloat64);
  check_like(kOp, "d_x", d_x, "x", x);
  const TraceSpan span(context.trace, "op/batch_norm_backward");
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    const Wide<T>*center = mean.data<Wide<T>>(), *scale = rstd.data<Wide<T>>();
    const T* w = weight.data<T>();
    const int64_t cols = x.cols();
    const double* sum = sums != nullptr ? sums->data<double>() : nullptr;
    for_each_row<T>(context, counted, d_x, [&](int64_t row) {
      const T *from = x.row<T>(row), *d_out = d_y.row<T>(row);
      T* to = d_x.row<T>(row);
      for (int64_t col = 0; col < cols; ++col) {
        double centered = load(d_out[col]);
        if (sum != nullptr)
          centered -= (sum[col] + (load(from[col]) - center[col]) * scale[col] * sum[cols + col]) / count;
        store(to[col], load(w[col]) * scale[col] * centered);
      }
    });
  });
}

}  // namespace trireme::ops
