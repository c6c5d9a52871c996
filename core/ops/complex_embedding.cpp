#include "core/ops/complex_embedding.h"

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

struct Tables {
  const Tensor &amplitude, &frequency, &phase, &ids, &positions;
  const TableRange& range;

  int64_t vocabulary() const { return range.vocab_size == 0 ? amplitude.size(0) : range.vocab_size; }

  void check(const char* op, const Tensor& out) const {
    check_floating(op, "amplitude", amplitude);
    if (amplitude.dim() != 2)
      throw_shape_error(op, "amplitude", "has shape " + to_string(amplitude.shape()),
                        "[vocabulary, features]");
    check_like(op, "frequency", frequency, "amplitude", amplitude);
    check_like(op, "phase", phase, "amplitude", amplitude);
    check_dtype(op, "ids", ids, DType::kInt32);
    check_contiguous(op, "ids", ids);
    check_dtype(op, "positions", positions, DType::kInt32);
    check_contiguous(op, "positions", positions);
    if (positions.num_elements() != ids.num_elements())
      throw_shape_error(op, "positions", "has shape " + to_string(positions.shape()),
                        fmt::format("{} elements, one an id", ids.num_elements()));
    check_shape(op, "out", out, {ids.num_elements(), 2 * amplitude.cols()});
    check_dtype(op, "out", out, amplitude.dtype());
    if (range.begin < 0 || range.begin + amplitude.size(0) > vocabulary())
      throw_shape_error(op, "amplitude",
                        fmt::format("holds rows [{}, {})", range.begin, range.begin + amplitude.size(0)),
                        fmt::format("a range inside the vocabulary [0, {})", vocabulary()));
    for (int64_t i = 0; i < ids.num_elements(); ++i)
      if (const int32_t id = ids.data<int32_t>()[i]; id < kNoRow || id >= vocabulary())
        throw DataError(
            fmt::format("{}: id {} at position {} is outside the vocabulary [0, {}); the data set and the "
                        "model use different tokenizers",
                        op, id, i, vocabulary()));
  }

  /// Calls body(row of ids, column, r, cos, sin, position) for every element; r, cos and sin are 0 for ids of
  /// another range.
  template <class T, class Body>
  void for_each(Context& context, Body&& body) const {
    cpu::parallel_rows(context, ids.num_elements(), amplitude.cols(), [&](const cpu::Block& block) {
      for (int64_t row = block.row_begin; row < block.row_end; ++row) {
        const int64_t id = ids.data<int32_t>()[row] - range.begin;
        const double position = positions.data<int32_t>()[row];
        const bool here = id >= 0 && id < amplitude.size(0);
        for (int64_t col = 0; col < amplitude.cols(); ++col) {
          if (!here) {
            body(row, col, 0.0, 0.0, 0.0, position);
            continue;
          }
          const double angle = load(frequency.row<T>(id)[col]) * position + load(phase.row<T>(id)[col]);
          body(row, col, load(amplitude.row<T>(id)[col]), std::cos(angle), std::sin(angle), position);
        }
      }
    });
  }
};

}  // namespace

void complex_embedding_forward(Context& context, const Tensor& amplitude, const Tensor& frequency,
                               const Tensor& phase, const Tensor& ids, const Tensor& positions, Tensor& out,
                               const TableRange& range) {
  const Tables tables{amplitude, frequency, phase, ids, positions, range};
  tables.check("complex_embedding_forward", out);
  const TraceSpan span(context.trace, "op/complex_embedding_forward");
  const int64_t half = amplitude.cols();
  dispatch_floating(out.dtype(), [&]<class T>(T) {
    tables.for_each<T>(context, [&](int64_t row, int64_t col, double r, double cosine, double sine, double) {
      store(out.row<T>(row)[col], r * cosine);
      store(out.row<T>(row)[half + col], r * sine);
    });
  });
}

/// With a = w p + theta: d_r = d_re cos a + d_im sin a, d_theta = r (d_im cos a - d_re sin a), d_w = p
/// d_theta.
void complex_embedding_backward(Context& context, const Tensor& d_out, const Tensor& amplitude,
                                const Tensor& frequency, const Tensor& phase, const Tensor& ids,
                                const Tensor& positions, Tensor& d_amplitude, Tensor& d_frequency,
                                Tensor& d_phase, const TableRange& range) {
  constexpr const char* kOp = "complex_embedding_backward";
  const Tables tables{amplitude, frequency, phase, ids, positions, range};
  tables.check(kOp, d_out);
  for (const Tensor* gradient : {&d_amplitude, &d_frequency, &d_phase}) {
    check_shape(kOp, "gradient", *gradient, {ids.num_elements(), amplitude.cols()});
    check_dtype(kOp, "gradient", *gradient, wide_dtype(amplitude.dtype()));
  }
  const TraceSpan span(context.trace, "op/complex_embedding_backward");
  const int64_t half = amplitude.cols();
  dispatch_floating(d_out.dtype(), [&]<class T>(T) {
    tables.for_each<T>(
        context, [&](int64_t row, int64_t col, double r, double cosine, double sine, double position) {
          const double real = load(d_out.row<T>(row)[col]), imaginary = load(d_out.row<T>(row)[half + col]);
          const double d_angle = r * (imaginary * cosine - real * sine);
          store(d_amplitude.row<Wide<T>>(row)[col], real * cosine + imaginary * sine);
          store(d_frequency.row<Wide<T>>(row)[col], position * d_angle);
          store(d_phase.row<Wide<T>>(row)[col], d_angle);
        });
  });
}

}  // namespace trireme::ops
