#include "core/ops/reference/cross_entropy.h"

#include <cmath>
#include <limits>

#include "core/ops/reference/doubles.h"

namespace trireme::ops::reference {
namespace {

/// Of every row.
struct Statistics {
  explicit Statistics(int64_t rows)
      : maximum(rows, 0.0), exp_sum(rows, 0.0), target_logit(rows, 0.0), logit_sum(rows, 0.0) {}
  std::vector<double> maximum, exp_sum, target_logit, logit_sum;
};

Statistics statistics_of(Context& context, const Tensor& logits, const Tensor& targets, int64_t vocab_begin) {
  const std::vector<double> values = load_doubles(logits);
  const int64_t rows = logits.rows(), cols = logits.cols();
  Statistics result(rows);
#pragma omp parallel for num_threads(context.num_threads)
  for (int64_t row = 0; row < rows; ++row) {
    const double* logit = &values[row * cols];
    double maximum = logit[0];
    for (int64_t col = 1; col < cols; ++col) maximum = std::max(maximum, logit[col]);
    double sum = 0;
    for (int64_t col = 0; col < cols; ++col) sum += std::exp(logit[col] - maximum);
    if (maximum == -std::numeric_limits<double>::infinity()) sum = 0;  // a range of padding only
    const int64_t target = targets.data<int32_t>()[row] - vocab_begin;
    for (int64_t col = 0; col < cols; ++col) result.logit_sum[row] += logit[col];
    result.maximum[row] = maximum;
    result.exp_sum[row] = sum;
    const bool here = targets.data<int32_t>()[row] != kIgnoredTarget && target >= 0 && target < cols;
    result.target_logit[row] = here ? logit[target] : 0.0;
  }
  return result;
}

/// logits = scale * (exp(logit - shift) / divisor - q).
void write_gradient(Context& context, Tensor& logits, const Tensor& targets, int64_t vocab_begin,
                    const std::vector<double>& shift, const std::vector<double>& divisor, double scale,
                    const TargetDistribution& q) {
  std::vector<double> values = load_doubles(logits);
  const int64_t rows = logits.rows(), cols = logits.cols();
#pragma omp parallel for num_threads(context.num_threads)
  for (int64_t row = 0; row < rows; ++row) {
    double* logit = &values[row * cols];
    const int32_t target = targets.data<int32_t>()[row];
    for (int64_t col = 0; col < cols; ++col) {
      const double probability = std::exp(logit[col] - shift[row]) / divisor[row];
      const double wanted = col + vocab_begin == target ? q.on_target : q.on_others;
      logit[col] = target == kIgnoredTarget ? 0.0 : scale * (probability - wanted);
    }
  }
  store_doubles(values, logits);
}

}  // namespace

int64_t softmax_cross_entropy(Context& context, Tensor& logits, const Tensor& targets, Tensor& losses,
                              const double* gradient_scale, const TargetDistribution& q) {
  const Statistics of = statistics_of(context, logits, targets, 0);
  std::vector<double> loss(of.maximum.size(), 0.0);
  int64_t num_right = 0;
  for (size_t row = 0; row < loss.size(); ++row) {
    if (targets.data<int32_t>()[row] == kIgnoredTarget) continue;
    const double maximum = of.maximum[row];
    loss[row] = (q.on_target - q.on_others) * (maximum - of.target_logit[row]) + std::log(of.exp_sum[row]) -
                q.entropy;
    if (q.smoothed())
      loss[row] += q.on_others * (static_cast<double>(logits.cols()) * maximum - of.logit_sum[row]);
    if (of.target_logit[row] >= maximum) ++num_right;
  }
  store_doubles(loss, losses);
  if (gradient_scale != nullptr)
    write_gradient(context, logits, targets, 0, of.maximum, of.exp_sum, *gradient_scale, q);
  return num_right;
}

void cross_entropy_statistics(Context& context, const Tensor& logits, const Tensor& targets,
                              int64_t vocab_begin, Tensor& maximum, Tensor& exp_sum, Tensor& target_logit,
                              Tensor* logit_sum) {
  const Statistics statistics = statistics_of(context, logits, targets, vocab_begin);
  store_doubles(statistics.maximum, maximum);
  store_doubles(statistics.exp_sum, exp_sum);
  store_doubles(statistics.target_logit, target_logit);
  if (logit_sum != nullptr) store_doubles(statistics.logit_sum, *logit_sum);
}

void cross_entropy_gradient(Context& context, Tensor& logits, const Tensor& targets, int64_t vocab_begin,
                            const Tensor& log_sum_exp, double scale, const TargetDistribution& q) {
  const std::vector<double> ones(logits.rows(), 1.0);
  write_gradient(context, logits, targets, vocab_begin, load_doubles(log_sum_exp), ones, scale, q);
}

}  // namespace trireme::ops::reference
