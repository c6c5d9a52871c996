#include "core/ops/recurrent.h"

#include <fmt/format.h>

#include <cmath>

#include "core/ops/elementwise.h"
#include "tests/support/op_cases/op_cases.h"

namespace trireme::testing {
namespace {

struct RecurrentCase {
  const char* name;
  ops::RecurrentKind kind;
  int64_t num_samples, length, hidden_size;
  bool reverse = false, padded = false;
  bool benchmark = false;
};

struct RecurrentData {
  ops::RecurrentOptions options;
  Tensor x, weight, bias, out, d_out, d_x, d_recurrent;
  ops::RecurrentState first, last, d_last, d_first;
  ops::RecurrentSaved saved;

  RecurrentData(const RecurrentCase& of, Context& context, DType dtype, DType storage, uint64_t seed)
      : options{of.kind, of.num_samples, of.length, of.hidden_size, of.reverse} {
    const int64_t rows = of.num_samples * of.length, H = of.hidden_size, GH = ops::num_gates(of.kind) * H;
    const auto draw = [&](const Shape& shape, double std = 1.0) {
      return random_tensor(context, shape, dtype, storage, seed++, true, std);
    };
    const auto state = [&] {
      ops::RecurrentState result{draw({of.num_samples, H})};
      if (of.kind == ops::RecurrentKind::kLstm) result.cell = draw({of.num_samples, H});
      return result;
    };
    if (of.padded) {
      options.lengths = context.workspace({of.num_samples}, DType::kInt32);
      for (int64_t i = 0; i < of.num_samples; ++i)
        options.lengths.data<int32_t>()[i] = static_cast<int32_t>((i + 1) * of.length / of.num_samples);
    }
    x = draw({rows, GH});
    weight = draw({GH, H}, 0.5 / std::sqrt(static_cast<double>(H)));
    bias = draw({GH});
    out = draw({rows, H});
    d_out = draw({rows, H});
    d_x = draw({rows, GH});
    d_recurrent = draw({rows, GH});
    first = state();
    last = state();
    d_last = state();
    d_first = state();
    saved = ops::make_recurrent_saved(context, options, storage);
  }
  void forward(Context& context) {
    ops::recurrent_forward(context, options, x, {weight, &bias}, first, out, last, saved);
  }
  void backward(Context& context) {
    ops::recurrent_backward(context, options, {weight}, first, saved, d_out, d_last, d_x, d_recurrent,
                            d_first);
  }
};

OpCase make_case(const RecurrentCase& of, bool backward) {
  OpCase result;
  result.op = backward ? "recurrent_with_backward" : "recurrent_forward";
  result.description = fmt::format("{}, B{} T{} H{}{}{}", of.name, of.num_samples, of.length, of.hidden_size,
                                   of.reverse ? ", reverse" : "", of.padded ? ", padded" : "");
  result.dtypes = {DType::kFloat32, DType::kBFloat16};
  result.benchmark = of.benchmark;
  result.build = [=](Context& context, DType dtype, DType storage, uint64_t seed) {
    RecurrentData data(of, context, dtype, storage, seed);
    // States are rounded at every step and feed the next one: a few roundings on top of each other.
    constexpr double kSteps = 8.0;
    OpRun run;
    run.run = [=](Context& run_context) mutable {
      data.forward(run_context);
      if (backward) data.backward(run_context);
    };
    if (backward) {
      run.outputs = {{"d_x", data.d_x, kSteps},
                     {"d_recurrent", data.d_recurrent, kSteps},
                     {"d_first", data.d_first.hidden, kSteps}};
    } else {
      run.outputs = {{"out", data.out, kSteps}, {"last", data.last.hidden, kSteps}};
    }
    run.flops = 2.0 * static_cast<double>(data.x.num_elements() * of.hidden_size) * (backward ? 2.0 : 1.0);
    run.bytes = static_cast<double>(data.x.num_bytes());
    return run;
  };
  return result;
}

}  // namespace

std::vector<OpCase> recurrent_cases() {
  using ops::RecurrentKind;
  const RecurrentCase kCases[] = {{"gru, one element", RecurrentKind::kGru, 1, 1, 1},
                                  {"rnn tanh", RecurrentKind::kRnnTanh, 3, 6, 17},
                                  {"rnn relu", RecurrentKind::kRnnRelu, 5, 4, 32, true, true},
                                  {"gru", RecurrentKind::kGru, 9, 6, 33, false, true},
                                  {"gru", RecurrentKind::kGru, 2, 7, 64, true},
                                  {"lstm", RecurrentKind::kLstm, 9, 6, 33, false, true},
                                  {"lstm", RecurrentKind::kLstm, 2, 7, 64, true},
                                  {"gru", RecurrentKind::kGru, 128, 24, 512, false, false, true},
                                  {"lstm", RecurrentKind::kLstm, 128, 24, 512, false, false, true}};
  std::vector<OpCase> cases;
  for (const RecurrentCase& of : kCases)
    for (const bool backward : {false, true}) cases.push_back(make_case(of, backward));
  return cases;
}

}  // namespace trireme::testing
