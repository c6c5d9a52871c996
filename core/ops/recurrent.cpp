#include "core/ops/recurrent.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/ops/activation.h"
#include "core/ops/checks.h"
#include "core/ops/cpu/parallel.h"
#include "core/ops/elementwise.h"
#include "core/ops/gemm.h"

namespace trireme::ops {
namespace {

void check_matrix(const char* op, const char* argument, const Tensor& tensor, int64_t rows, int64_t cols,
                  DType dtype) {
  check_shape(op, argument, tensor, {rows, cols});
  check_dtype(op, argument, tensor, dtype);
}

void check_state(const char* op, const char* argument, const RecurrentOptions& options,
                 const RecurrentState& state, DType dtype) {
  check_matrix(op, argument, state.hidden, options.num_samples, options.hidden_size, dtype);
  if (options.kind == RecurrentKind::kLstm)
    check_matrix(op, argument, state.cell, options.num_samples, options.hidden_size, dtype);
}

void check_common(const char* op, const RecurrentOptions& options, const RecurrentWeights& weights,
                  const RecurrentState& first, const RecurrentSaved& saved) {
  const int64_t H = options.hidden_size, GH = num_gates(options.kind) * H;
  const int64_t rows = options.num_samples * options.length;
  const DType dtype = weights.weight.dtype();
  check_floating(op, "weight", weights.weight);
  check_matrix(op, "weight", weights.weight, GH, H, dtype);
  if (weights.bias != nullptr) check_shape(op, "bias", *weights.bias, {GH});
  check_state(op, "first", options, first, dtype);
  check_matrix(op, "saved.previous_hidden", saved.previous_hidden, rows, H, dtype);
  check_matrix(op, "saved.gates", saved.gates, rows, GH, wide_dtype(dtype));
  if (saved.extra.defined()) check_matrix(op, "saved.extra", saved.extra, rows, H, wide_dtype(dtype));
  if (!options.lengths.defined()) return;
  check_shape(op, "lengths", options.lengths, {options.num_samples});
  check_dtype(op, "lengths", options.lengths, DType::kInt32);
  check_contiguous(op, "lengths", options.lengths);
  for (int64_t sample = 0; sample < options.num_samples; ++sample)
    if (const int32_t length = options.lengths.data<int32_t>()[sample]; length < 0 || length > options.length)
      throw DataError(fmt::format("{}: the length of sample {} is {}; expected a number in [0, {}]", op,
                                  sample, length, options.length));
}

/// Rows b * T + step of a matrix, as one.
Tensor step_rows(const RecurrentOptions& options, const Tensor& matrix, int64_t step) {
  return Tensor::view_of(
      matrix.storage(), matrix.byte_offset() + step * matrix.row_stride() * size_of(matrix.dtype()),
      {options.num_samples, matrix.cols()}, matrix.dtype(), options.length * matrix.row_stride());
}

/// The rows of one step of what lies step by step.
Tensor saved_rows(const RecurrentOptions& options, const Tensor& matrix, int64_t step) {
  return matrix.defined() ? matrix.slice(0, step * options.num_samples, options.num_samples) : matrix;
}

/// The index-th step in the order of computing.
int64_t step_at(const RecurrentOptions& options, int64_t index) {
  return options.reverse ? options.length - 1 - index : index;
}

Tensor copy_as(Context& context, const Tensor& x, DType dtype) {
  Tensor y = context.workspace(x.shape(), dtype);
  cast(context, x, y);
  return y;
}

void apply(Context& context, Activation activation, const Tensor& rows, int64_t begin, int64_t cols) {
  Tensor part = rows.slice(-1, begin, cols);
  activation_forward(context, activation, part, part);
}

/// Calls body(sample, whether the step is inside it) on all threads.
template <class Body>
void for_each_sample(Context& context, const RecurrentOptions& options, int64_t step, Body&& body) {
  constexpr int64_t kGrain = 4;
  cpu::parallel_ranges(context, options.num_samples, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t sample = begin; sample < end; ++sample)
      body(sample, !options.lengths.defined() ||
                       step < static_cast<int64_t>(options.lengths.data<int32_t>()[sample]));
  });
}

/// The pass over the steps, forward. States are held in W.
template <class W>
class Forward {
 public:
  Forward(Context& context, const RecurrentOptions& options, const RecurrentWeights& weights,
          const RecurrentState& first, RecurrentSaved& saved)
      : context_(context), options_(options), weights_(weights), saved_(saved), H(options.hidden_size) {
    hidden_ = copy_as(context, first.hidden, DTypeOf<W>::value);
    if (options.kind == RecurrentKind::kLstm) cell_ = copy_as(context, first.cell, DTypeOf<W>::value);
    next_ = context.workspace({options.num_samples, H}, DTypeOf<W>::value);
    if (options.kind == RecurrentKind::kGru)
      recurrent_ = context.workspace({options.num_samples, 3 * H}, DTypeOf<W>::value);
  }

  void step(const Tensor& x, Tensor& out, int64_t step) {
    Tensor previous = saved_rows(options_, saved_.previous_hidden, step);
    gates_ = saved_rows(options_, saved_.gates, step);
    extra_ = saved_rows(options_, saved_.extra, step);
    cast(context_, hidden_, previous);
    cast(context_, step_rows(options_, x, step), gates_);
    GemmOptions product{.transpose_b = true, .accumulate = true, .bias = weights_.bias};
    if (options_.kind == RecurrentKind::kGru) {
      product.accumulate = false;
      gemm(context_, previous, weights_.weight, recurrent_, product);
      gru();
    } else {
      gemm(context_, previous, weights_.weight, gates_, product);
      options_.kind == RecurrentKind::kLstm ? lstm() : rnn();
    }
    finish(out, step);
  }

  void take_state(RecurrentState& last) {
    cast(context_, hidden_, last.hidden);
    if (cell_.defined()) cast(context_, cell_, last.cell);
  }

 private:
  void rnn() {
    activation_forward(context_,
                       options_.kind == RecurrentKind::kRnnRelu ? Activation::kRelu : Activation::kTanh,
                       gates_, gates_);
    cast(context_, gates_, next_);
  }

  void gru() {
    for_each_sample(context_, options_, 0, [&](int64_t sample, bool) {
      W* gate = gates_.row<W>(sample);
      const W* recurrent = recurrent_.row<W>(sample);
      for (int64_t i = 0; i < 2 * H; ++i) gate[i] += recurrent[i];
    });
    apply(context_, Activation::kSigmoid, gates_, 0, 2 * H);
    for_each_sample(context_, options_, 0, [&](int64_t sample, bool) {
      W *r = gates_.row<W>(sample), *n = r + 2 * H, *term = extra_.row<W>(sample);
      std::copy_n(recurrent_.row<W>(sample) + 2 * H, H, term);
      for (int64_t i = 0; i < H; ++i) n[i] += r[i] * term[i];
    });
    apply(context_, Activation::kTanh, gates_, 2 * H, H);
    for_each_sample(context_, options_, 0, [&](int64_t sample, bool) {
      const W *z = gates_.row<W>(sample) + H, *n = z + H, *h = hidden_.row<W>(sample);
      W* next = next_.row<W>(sample);
      for (int64_t i = 0; i < H; ++i) next[i] = (1 - z[i]) * n[i] + z[i] * h[i];
    });
  }

  void lstm() {
    apply(context_, Activation::kSigmoid, gates_, 0, 2 * H);
    apply(context_, Activation::kTanh, gates_, 2 * H, H);
    apply(context_, Activation::kSigmoid, gates_, 3 * H, H);
    for_each_sample(context_, options_, 0, [&](int64_t sample, bool) {
      const W *i = gates_.row<W>(sample), *f = i + H, *g = f + H, *old = cell_.row<W>(sample);
      W* c = extra_.row<W>(sample);
      for (int64_t k = 0; k < H; ++k) c[k] = f[k] * old[k] + i[k] * g[k];
    });
    activation_forward(context_, Activation::kTanh, extra_, next_);
    for_each_sample(context_, options_, 0, [&](int64_t sample, bool) {
      const W* o = gates_.row<W>(sample) + 3 * H;
      W* next = next_.row<W>(sample);
      for (int64_t k = 0; k < H; ++k) next[k] *= o[k];
    });
  }

  /// The state moves where the step is inside the sample; beyond, it stands still and the output is zero.
  void finish(Tensor& out, int64_t step) {
    for_each_sample(context_, options_, step, [&](int64_t sample, bool inside) {
      W *next = next_.row<W>(sample), *h = hidden_.row<W>(sample);
      if (inside) {
        std::copy_n(next, H, h);
        if (cell_.defined()) std::copy_n(extra_.row<W>(sample), H, cell_.row<W>(sample));
      } else {
        std::fill_n(next, H, W(0));
        if (cell_.defined()) std::copy_n(cell_.row<W>(sample), H, extra_.row<W>(sample));
      }
    });
    Tensor to = step_rows(options_, out, step);
    cast(context_, next_, to);
  }

  Context& context_;
  const RecurrentOptions& options_;
  const RecurrentWeights& weights_;
  RecurrentSaved& saved_;
  const int64_t H;
  Tensor hidden_, cell_, next_, recurrent_;
  Tensor gates_, extra_;  ///< of the step
};

/// The pass over the steps, backward.
template <class W>
class Backward {
 public:
  Backward(Context& context, const RecurrentOptions& options, const RecurrentWeights& weights,
           const RecurrentState& first, const RecurrentSaved& saved, const RecurrentState& d_last)
      : context_(context), options_(options), weights_(weights), saved_(saved), H(options.hidden_size) {
    const auto gradient = [&](const Tensor& given) {
      if (given.defined()) return copy_as(context, given, DTypeOf<W>::value);
      return context.zeros({options.num_samples, H}, DTypeOf<W>::value, MemoryCategory::kWorkspace);
    };
    const auto matrix = [&](int64_t cols) {
      return context.workspace({options.num_samples, cols}, DTypeOf<W>::value);
    };
    d_hidden_ = gradient(d_last.hidden);
    d_gates_ = matrix(num_gates(options.kind) * H);
    d_out_ = matrix(H);
    previous_ = matrix(H);
    through_ = matrix(H);
    if (options.kind == RecurrentKind::kLstm) {
      d_cell_ = gradient(d_last.cell);
      first_cell_ = copy_as(context, first.cell, DTypeOf<W>::value);
    }
  }

  /// `before`: the step computed before this one, negative for none.
  void step(const Tensor& d_out, int64_t step, int64_t before, Tensor& d_x, Tensor& d_recurrent) {
    gates_ = saved_rows(options_, saved_.gates, step);
    extra_ = saved_rows(options_, saved_.extra, step);
    cast(context_, step_rows(options_, d_out, step), d_out_);
    Tensor d_step = saved_rows(options_, d_recurrent, step), d_input = step_rows(options_, d_x, step);
    switch (options_.kind) {
      case RecurrentKind::kGru:
        cast(context_, saved_rows(options_, saved_.previous_hidden, step), previous_);
        gru(step);
        cast(context_, d_gates_, d_input);
        gru_recurrent();
        break;
      case RecurrentKind::kLstm:
        lstm(step, before < 0 ? first_cell_ : saved_rows(options_, saved_.extra, before));
        cast(context_, d_gates_, d_input);
        break;
      default:
        rnn(step);
        cast(context_, d_gates_, d_input);
    }
    cast(context_, d_gates_, d_step);
    gemm(context_, d_step, weights_.weight, through_);
    for_each_sample(context_, options_, step, [&](int64_t sample, bool inside) {
      if (!inside) return;  // the gradient stands still too
      W* d_h = d_hidden_.row<W>(sample);
      const W *through = through_.row<W>(sample), *z = gates_.row<W>(sample) + H;
      const W* d_out_row = d_out_.row<W>(sample);
      for (int64_t i = 0; i < H; ++i)
        d_h[i] = through[i] + (options_.kind == RecurrentKind::kGru ? (d_h[i] + d_out_row[i]) * z[i] : W(0));
    });
  }

  void take_state(RecurrentState& d_first) {
    cast(context_, d_hidden_, d_first.hidden);
    if (d_cell_.defined()) cast(context_, d_cell_, d_first.cell);
  }

 private:
  /// Calls body(sample, i, d_h, d_gates) for each element inside its sample, d_h the whole gradient of h;
  /// elsewhere the gradients of the gates are zero.
  template <class Body>
  void for_each_element(int64_t step, Body&& body) {
    for_each_sample(context_, options_, step, [&](int64_t sample, bool inside) {
      W* d = d_gates_.row<W>(sample);
      if (!inside) {
        std::fill_n(d, d_gates_.cols(), W(0));
        return;
      }
      const W *d_h = d_hidden_.row<W>(sample), *d_out = d_out_.row<W>(sample);
      for (int64_t i = 0; i < H; ++i) body(sample, i, d_h[i] + d_out[i], d + i);
    });
  }

  void rnn(int64_t step) {
    const bool relu = options_.kind == RecurrentKind::kRnnRelu;
    for_each_element(step, [&](int64_t sample, int64_t i, W d_h, W* d) {
      const W h = gates_.row<W>(sample)[i];
      *d = d_h * (relu ? W(h > 0) : 1 - h * h);
    });
  }

  void gru(int64_t step) {
    for_each_element(step, [&](int64_t sample, int64_t i, W d_h, W* d) {
      const W* gate = gates_.row<W>(sample) + i;
      const W r = gate[0], z = gate[H], n = gate[2 * H];
      const W d_n = d_h * (1 - z) * (1 - n * n);
      d[0] = d_n * extra_.row<W>(sample)[i] * r * (1 - r);
      d[H] = d_h * (previous_.row<W>(sample)[i] - n) * z * (1 - z);
      d[2 * H] = d_n;
    });
  }
  /// n is r times the recurrent term: what reaches that is r times what reaches x.
  void gru_recurrent() {
    for_each_sample(context_, options_, 0, [&](int64_t sample, bool) {
      const W* r = gates_.row<W>(sample);
      W* d_n = d_gates_.row<W>(sample) + 2 * H;
      for (int64_t i = 0; i < H; ++i) d_n[i] *= r[i];
    });
  }

  void lstm(int64_t step, const Tensor& old_cell) {
    Tensor tanh_cell = previous_;
    activation_forward(context_, Activation::kTanh, extra_, tanh_cell);
    for_each_element(step, [&](int64_t sample, int64_t i, W d_h, W* d) {
      const W* gate = gates_.row<W>(sample) + i;
      const W in = gate[0], forget = gate[H], cell = gate[2 * H], o = gate[3 * H];
      const W t = tanh_cell.row<W>(sample)[i];
      W& d_cell = d_cell_.row<W>(sample)[i];
      const W d_c = d_cell + d_h * o * (1 - t * t);
      d[0] = d_c * cell * in * (1 - in);
      d[H] = d_c * old_cell.row<W>(sample)[i] * forget * (1 - forget);
      d[2 * H] = d_c * in * (1 - cell * cell);
      d[3 * H] = d_h * t * o * (1 - o);
      d_cell = d_c * forget;
    });
  }

  Context& context_;
  const RecurrentOptions& options_;
  const RecurrentWeights& weights_;
  const RecurrentSaved& saved_;
  const int64_t H;
  Tensor d_hidden_, d_cell_, first_cell_;
  Tensor gates_, extra_, d_gates_, d_out_, previous_, through_;  ///< of the step
};

/// Calls body(W{}) with the wide type of `dtype`.
template <class Body>
void dispatch_wide(DType dtype, Body&& body) {
  dtype == DType::kFloat64 ? body(double{}) : body(float{});
}

}  // namespace

int64_t num_gates(RecurrentKind kind) {
  if (kind == RecurrentKind::kLstm) return 4;
  return kind == RecurrentKind::kGru ? 3 : 1;
}

RecurrentSaved make_recurrent_saved(Context& context, const RecurrentOptions& options, DType dtype) {
  const int64_t rows = options.num_samples * options.length, H = options.hidden_size;
  RecurrentSaved saved;
  saved.previous_hidden = context.activation({rows, H}, dtype);
  saved.gates = context.activation({rows, num_gates(options.kind) * H}, wide_dtype(dtype));
  if (num_gates(options.kind) > 1) saved.extra = context.activation({rows, H}, wide_dtype(dtype));
  return saved;
}

void recurrent_forward(Context& context, const RecurrentOptions& options, const Tensor& x,
                       const RecurrentWeights& weights, const RecurrentState& first, Tensor& out,
                       RecurrentState& last, RecurrentSaved& saved) {
  constexpr const char* kOp = "recurrent_forward";
  const DType dtype = x.dtype();
  const int64_t rows = options.num_samples * options.length;
  check_matrix(kOp, "x", x, rows, num_gates(options.kind) * options.hidden_size, weights.weight.dtype());
  check_common(kOp, options, weights, first, saved);
  check_matrix(kOp, "out", out, rows, options.hidden_size, dtype);
  check_state(kOp, "last", options, last, dtype);
  const TraceSpan span(context.trace, "op/recurrent_forward");
  dispatch_wide(dtype, [&]<class W>(W) {
    Forward<W> pass(context, options, weights, first, saved);
    for (int64_t index = 0; index < options.length; ++index) pass.step(x, out, step_at(options, index));
    pass.take_state(last);
  });
}

void recurrent_backward(Context& context, const RecurrentOptions& options, const RecurrentWeights& weights,
                        const RecurrentState& first, const RecurrentSaved& saved, const Tensor& d_out,
                        const RecurrentState& d_last, Tensor& d_x, Tensor& d_recurrent,
                        RecurrentState& d_first) {
  constexpr const char* kOp = "recurrent_backward";
  const DType dtype = weights.weight.dtype();
  const int64_t rows = options.num_samples * options.length, H = options.hidden_size;
  check_common(kOp, options, weights, first, saved);
  check_matrix(kOp, "d_out", d_out, rows, H, dtype);
  check_matrix(kOp, "d_x", d_x, rows, num_gates(options.kind) * H, dtype);
  check_matrix(kOp, "d_recurrent", d_recurrent, rows, num_gates(options.kind) * H, dtype);
  check_state(kOp, "d_first", options, d_first, dtype);
  const TraceSpan span(context.trace, "op/recurrent_backward");
  dispatch_wide(dtype, [&]<class W>(W) {
    Backward<W> pass(context, options, weights, first, saved, d_last);
    for (int64_t index = options.length - 1; index >= 0; --index)
      pass.step(d_out, step_at(options, index), index == 0 ? -1 : step_at(options, index - 1), d_x,
                d_recurrent);
    pass.take_state(d_first);
  });
}

}  // namespace trireme::ops
