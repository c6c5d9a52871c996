#include "core/ops/reference/cross_entropy.h"

#include <cmath>
#include <limits>

#include "core/ops/reference/doubles.h"

namespace trireme::ops::reference {
namespace {

/// Maximum, sum of exponentials and the target's logit of every row.
struct Statistics {
  std::vector<double> maximum, exp_sum, target_logit;
};

Statistics statistics_of(Context& context, const Tensor& logits, const Tensor& targets, int64_t vocab_begin) {
  const std::vector<double> values = load_doubles(logits);
  const int64_t rows = logits.rows(), cols = logits.cols();
  Statistics result{std::vector<double>(rows), std::vector<double>(rows), std::vector<double>(rows)};
#pragma omp parallel for num_threads(context.num_threads)
  for (int64_t row = 0; row < rows; ++row) {
    const double* logit = &values[row * cols];
    double maximum = logit[0];
    for (int64_t col = 1; col < cols; ++col) maximum = std::max(maximum, logit[col]);
    double sum = 0;
    for (int64_t col = 0; col < cols; ++col) sum += std::exp(logit[col] - maximum);
    if (maximum == -std::numeric_limits<double>::infinity()) sum = 0;  // a range of padding only
    const int64_t target = targets.data<int32_t>()[row] - vocab_begin;
    result.maximum[row] = maximum;
    result.exp_sum[row] = sum;
    const bool here = targets.data<int32_t>()[row] != kIgnoredTarget && target >= 0 && target < cols;
    result.target_logit[row] = here ? logit[target] : 0.0;
  }
  return result;
}

/// logits = scale * (exp(logit - shift) / divisor - onehot(target)).
void write_gradient(Context& context, Tensor& logits, const Tensor& targets, int64_t vocab_begin,
                    const std::vector<double>& shift, const std::vector<double>& divisor, double scale) {
  std::vector<double> values = load_doubles(logits);
  const int64_t rows = logits.rows(), cols = logits.cols();
#pragma omp parallel for num_threads(context.num_threads)
  for (int64_t row = 0; row < rows; ++row) {
    double* logit = &values[row * cols];
    const int32_t target = targets.data<int32_t>()[row];
    for (int64_t col = 0; col < cols; ++col) {
      const double probability = std::exp(logit[col] - shift[row]) / divisor[row];
      logit[col] = target == kIgnoredTarget ? 0.0 : scale * (probability - (col + vocab_begin == target));
    }
  }
  store_doubles(values, logits);
}

}  // namespace

void softmax_cross_entropy(Context& context, Tensor& logits, const Tensor& targets, Tensor& losses,
                           const double* gradient_scale) {
  const auto [maximum, exp_sum, target_logit] = statistics_of(context, logits, targets, 0);
  std::vector<double> loss(maximum.size(), 0.0);
  for (size_t row = 0; row < loss.size(); ++row)
    if (targets.data<int32_t>()[row] != kIgnoredTarget)
      loss[row] = (maximum[row] - target_logit[row]) + std::log(exp_sum[row]);
  store_doubles(loss, losses);
  if (gradient_scale != nullptr)
    write_gradient(context, logits, targets, 0, maximum, exp_sum, *gradient_scale);
}

void cross_entropy_statistics(Context& context, const Tensor& logits, const Tensor& targets,
                              int64_t vocab_begin, Tensor& maximum, Tensor& exp_sum, Tensor& target_logit) {
  const Statistics statistics = statistics_of(context, logits, targets, vocab_begin);
  store_doubles(statistics.maximum, maximum);
  store_doubles(statistics.exp_sum, exp_sum);
  store_doubles(statistics.target_logit, target_logit);
}

void cross_entropy_gradient(Context& context, Tensor& logits, const Tensor& targets, int64_t vocab_begin,
                            const Tensor& log_sum_exp, double scale) {
  const std::vector<double> ones(logits.rows(), 1.0);
  write_gradient(context, logits, targets, vocab_begin, load_doubles(log_sum_exp), ones, scale);
}

}  // namespace trireme::ops::reference
