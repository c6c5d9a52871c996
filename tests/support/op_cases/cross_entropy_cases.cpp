#include "core/ops/cross_entropy.h"
#include "core/ops/elementwise.h"

#include <fmt/format.h>

#include "tests/support/op_cases/op_cases.h"
#include "tests/support/tolerances.h"

namespace trireme::testing {
namespace {

struct LossCase {
  int64_t rows, vocabulary;
  bool padded;
  double std;  ///< of the logits
  bool benchmark = false;
  ops::LabelSmoothing smoothing = {};
};

/// Every third row ignored when `some_ignored`.
Tensor targets_for(Context& context, int64_t rows, int64_t range, bool some_ignored) {
  Tensor targets = context.workspace({rows}, DType::kInt32);
  for (int64_t row = 0; row < rows; ++row)
    targets.data<int32_t>()[row] =
        some_ignored && row % 3 == 2 ? ops::kIgnoredTarget : static_cast<int32_t>(row * 7919 % range);
  return targets;
}

Tensor per_row(Context& context, int64_t rows, DType storage) {
  return context.zeros({rows}, storage == DType::kFloat64 ? storage : DType::kFloat32,
                       MemoryCategory::kWorkspace);
}

OpRun fused(const LossCase& loss, bool gradient, Context& context, DType dtype, DType storage,
            uint64_t seed) {
  const Tensor logits =
      random_tensor(context, {loss.rows, loss.vocabulary}, dtype, storage, seed, loss.padded, loss.std);
  const Tensor targets = targets_for(context, loss.rows, loss.vocabulary, !loss.benchmark);
  const Tensor losses = per_row(context, loss.rows, storage);
  const ops::TargetDistribution q = ops::target_distribution(loss.smoothing, loss.vocabulary);
  OpRun run;
  run.run = [=](Context& run_context) {
    const double scale = 0.25;
    Tensor in_place = logits, result = losses;
    ops::softmax_cross_entropy(run_context, in_place, targets, result, gradient ? &scale : nullptr, q);
  };
  run.outputs = {{"losses", losses, float32_factor(dtype)}};
  if (gradient) run.outputs.push_back({"logits", logits});
  run.flops = 8.0 * static_cast<double>(logits.num_elements());
  run.bytes = static_cast<double>(logits.num_elements() * size_of(dtype)) * (gradient ? 2.0 : 1.0);
  return run;
}

OpRun split(const LossCase& loss, bool gradient, Context& context, DType dtype, DType storage,
            uint64_t seed) {
  const int64_t vocab_begin = loss.vocabulary / 2;  // about a third of the targets is in range
  const Tensor logits =
      random_tensor(context, {loss.rows, loss.vocabulary}, dtype, storage, seed, loss.padded, loss.std);
  const Tensor targets = targets_for(context, loss.rows, 2 * loss.vocabulary, !loss.benchmark);
  const Tensor maximum = per_row(context, loss.rows, storage), exp_sum = per_row(context, loss.rows, storage);
  const Tensor target_logit = per_row(context, loss.rows, storage),
               logit_sum = per_row(context, loss.rows, storage);
  const ops::TargetDistribution q = ops::target_distribution(loss.smoothing, 2 * loss.vocabulary);
  // About the largest logit, as a row's own is: e^(logit - log_sum_exp) stays within float16.
  Tensor log_sum_exp =
      random_tensor(context, {loss.rows}, DType::kBFloat16, maximum.dtype(), seed + 1, false, 0.5);
  Tensor largest = per_row(context, loss.rows, storage);
  ops::fill(context, largest, 4.0 * loss.std);
  ops::add(context, log_sum_exp, largest, log_sum_exp);
  OpRun run;
  run.run = [=](Context& run_context) {
    Tensor in_place = logits, outputs[] = {maximum, exp_sum, target_logit, logit_sum};
    if (gradient) {
      ops::cross_entropy_gradient(run_context, in_place, targets, vocab_begin, log_sum_exp, -2.0, q);
    } else {
      ops::cross_entropy_statistics(run_context, logits, targets, vocab_begin, outputs[0], outputs[1],
                                    outputs[2], q.smoothed() ? &outputs[3] : nullptr);
    }
  };
  if (gradient) {
    run.outputs = {{"logits", logits}};
  } else {
    const double factor = float32_factor(dtype);
    run.outputs = {
        {"maximum", maximum, factor}, {"exp_sum", exp_sum, factor}, {"target_logit", target_logit, factor}};
    if (q.smoothed()) run.outputs.push_back({"logit_sum", logit_sum, factor});
  }
  run.flops = 4.0 * static_cast<double>(logits.num_elements());
  run.bytes = static_cast<double>(logits.num_elements() * size_of(dtype)) * (gradient ? 2.0 : 1.0);
  return run;
}

}  // namespace

std::vector<OpCase> cross_entropy_cases() {
  const LossCase kLosses[] = {{1, 1, false, 1.0},
                              {7, 5, false, 3.0},
                              {9, 37, true, 1.0},
                              {40, 1031, true, 4.0},
                              {3, 300, false, 20.0},
                              {1024, 50304, true, 2.0, true},
                              {2048, 8192, true, 2.0, true},
                              {40, 1031, true, 4.0, false, {ops::SmoothingForm::kUniform, 0.1}},
                              {9, 37, true, 1.0, false, {ops::SmoothingForm::kOthersNormalized, 0.3}},
                              {1024, 50304, true, 2.0, true, {ops::SmoothingForm::kUniform, 0.1}}};
  std::vector<OpCase> cases;
  const auto add = [&](const char* op, const LossCase& loss, bool gradient, auto builder) {
    OpCase result;
    result.op = op;
    result.description = fmt::format("{} x {}{}, deviation {}{}", loss.rows, loss.vocabulary,
                                     loss.padded ? " padded rows" : "", loss.std,
                                     loss.smoothing.epsilon > 0 ? ", smoothed" : "");
    result.benchmark = loss.benchmark;
    result.build = [=](Context& context, DType dtype, DType storage, uint64_t seed) {
      return builder(loss, gradient, context, dtype, storage, seed);
    };
    cases.push_back(result);
  };
  for (const LossCase& loss : kLosses) {
    add("cross_entropy", loss, false, fused);
    add("cross_entropy_with_gradient", loss, true, fused);
    add("cross_entropy_statistics", loss, false, split);
    if (loss.std < 20.0)
      add("cross_entropy_gradient", loss, true, split);  // all of e^-60 vanishes in float16
  }
  return cases;
}

}  // namespace trireme::testing
