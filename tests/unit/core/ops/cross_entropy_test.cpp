#include "core/ops/cross_entropy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "tests/support/op_case.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::expect_near;
using ::testing::HasSubstr;
using testing::message_of;
using testing::tensor_of;
using testing::values_of;

class CrossEntropy : public ::testing::TestWithParam<DType> {
 protected:
  Context context;
  const DType dtype = GetParam();
  const double bound = dtype == DType::kFloat64 ? 1e-14 : 5e-7;

  Tensor per_row(int64_t rows) { return context.workspace({rows}, dtype); }
};

// Expected values: PyTorch 2.13.0 in float64.
TEST_P(CrossEntropy, GivesPyTorchsLossesAndGradients) {
  Tensor logits = tensor_of(context, {3, 4}, {1, 2, 3, -1, 0.5, 0.5, 0.5, 0.5, -2, 4, 0, 1}, dtype);
  const Tensor targets = tensor_of(context, {3}, {2, ops::kIgnoredTarget, 0}, DType::kInt32);
  Tensor losses = per_row(3);
  ops::softmax_cross_entropy(context, logits, targets, losses, nullptr);
  expect_near(losses, {0.4197166463153396, 0.0, 6.068201920905707}, bound);
  expect_near(logits, {1, 2, 3, -1, 0.5, 0.5, 0.5, 0.5, -2, 4, 0, 1}, 0);
  const double scale = 0.5;
  ops::softmax_cross_entropy(context, logits, targets, losses, &scale);
  expect_near(losses, {0.4197166463153396, 0.0, 6.068201920905707}, bound);
  expect_near(
      logits,
      {0.04447340864870214, 0.12089125857940036, -0.17138348858407232, 0.006018821355969727, 0.0, 0.0, 0.0,
       0.0, -0.49884233368940534, 0.46703592295039925, 0.008554061312826195, 0.023252349426179958},
      bound);
}

// PyTorch 2.13.0: CrossEntropyLoss(label_smoothing=0.1).
TEST_P(CrossEntropy, GivesPyTorchsSmoothedLossesAndGradients) {
  Tensor logits = tensor_of(context, {3, 4}, {1, 2, 3, -1, 0.5, 0.5, 0.5, 0.5, -2, 4, 0, 1}, dtype);
  const Tensor targets = tensor_of(context, {3}, {2, ops::kIgnoredTarget, 0}, DType::kInt32);
  Tensor losses = per_row(3);
  const double scale = 0.5;
  ops::softmax_cross_entropy(context, logits, targets, losses, &scale,
                             ops::target_distribution({ops::SmoothingForm::kUniform, 0.1}, 4));
  expect_near(losses, {0.5947166463153396, 0.0, 5.793201920905707}, 2 * bound);
  expect_near(
      logits,
      {0.03197340864870214, 0.10839125857940037, -0.13388348858407234, -0.006481178644030273, 0.0, 0.0, 0.0,
       0.0, -0.46134233368940536, 0.45453592295039924, -0.003945938687173805, 0.010752349426179957},
      bound);
}

constexpr ops::SmoothingForm kForms[] = {ops::SmoothingForm::kUniform, ops::SmoothingForm::kOthers,
                                         ops::SmoothingForm::kOthersNormalized};

/// The definition, class by class: -sum q log p, less sum -q log q for the normalised form.
double smoothed_loss(const std::vector<double>& logits, int64_t target,
                     const ops::LabelSmoothing& smoothing) {
  double sum = 0, loss = 0;
  for (const double logit : logits) sum += std::exp(logit);
  const auto classes = static_cast<double>(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const bool hit = static_cast<int64_t>(i) == target;
    const double q = smoothing.form == ops::SmoothingForm::kUniform
                         ? (hit ? 1 - smoothing.epsilon : 0) + smoothing.epsilon / classes
                         : (hit ? 1 - smoothing.epsilon : smoothing.epsilon / (classes - 1));
    loss -= q * std::log(std::exp(logits[i]) / sum);
    if (smoothing.form == ops::SmoothingForm::kOthersNormalized) loss += q * std::log(q);
  }
  return loss;
}

TEST_P(CrossEntropy, SmoothsInThreeFormsAsTheirDefinitionsSay) {
  constexpr int64_t kRows = 5, kVocabulary = 23;
  const Tensor targets = tensor_of(context, {kRows}, {3, 22, ops::kIgnoredTarget, 0, 9}, DType::kInt32);
  for (const ops::SmoothingForm form : kForms) {
    Tensor logits =
        testing::random_tensor(context, {kRows, kVocabulary}, DType::kFloat32, dtype, 3, true, 2.0);
    const std::vector<double> values = values_of(logits);
    Tensor losses = per_row(kRows);
    ops::softmax_cross_entropy(context, logits, targets, losses, nullptr,
                               ops::target_distribution({form, 0.15}, kVocabulary));
    for (int64_t row = 0; row < kRows; ++row) {
      const int32_t target = targets.data<int32_t>()[row];
      const std::vector<double> row_logits(values.begin() + row * kVocabulary,
                                           values.begin() + (row + 1) * kVocabulary);
      const double expected =
          target == ops::kIgnoredTarget ? 0.0 : smoothed_loss(row_logits, target, {form, 0.15});
      EXPECT_NEAR(values_of(losses)[row], expected, 8 * bound) << row;
    }
  }
}

TEST_P(CrossEntropy, APerfectPredictionCostsNothingInTheNormalizedForm) {
  const double epsilon = 0.1, other = std::log(epsilon / 3), right = std::log(1 - epsilon);
  Tensor logits = tensor_of(context, {1, 4}, {other, right, other, other}, dtype);
  const Tensor targets = tensor_of(context, {1}, {1}, DType::kInt32);
  Tensor losses = per_row(1);
  const double scale = 1.0;
  ops::softmax_cross_entropy(context, logits, targets, losses, &scale,
                             ops::target_distribution({ops::SmoothingForm::kOthersNormalized, epsilon}, 4));
  expect_near(losses, {0}, 2 * bound);
  expect_near(logits, {0, 0, 0, 0}, bound);
}

TEST_P(CrossEntropy, CountsWhatWasPredictedRight) {
  Tensor logits = tensor_of(context, {4, 3}, {1, 2, 0, 5, 1, 1, 3, 0, 3, 9, 0, 0}, dtype);
  const Tensor targets = tensor_of(context, {4}, {1, 2, 0, ops::kIgnoredTarget}, DType::kInt32);
  Tensor losses = per_row(4);
  for (const double epsilon : {0.0, 0.1}) {
    const auto q = ops::target_distribution({ops::SmoothingForm::kOthers, epsilon}, 3);
    EXPECT_EQ(ops::softmax_cross_entropy(context, logits, targets, losses, nullptr, q), 2);
  }
}

TEST_P(CrossEntropy, RefusesAWrongSmoothing) {
  EXPECT_EQ(message_of<ConfigError>([&] {
              ops::target_distribution({ops::SmoothingForm::kUniform, 1.0}, 5);
            }),
            "label_smoothing is 1; expected a number in [0, 1)");
  EXPECT_THROW(ops::target_distribution({ops::SmoothingForm::kUniform, -0.1}, 5), ConfigError);
}

class CrossEntropyHalves : public CrossEntropy {
 protected:
  void expect_whole(const ops::LabelSmoothing& smoothing);
};

TEST_P(CrossEntropyHalves, OfTheVocabularyMergeToTheWhole) {
  expect_whole({});
}

TEST_P(CrossEntropyHalves, OfTheVocabularyMergeToTheWholeWithSmoothing) {
  for (const ops::SmoothingForm form : kForms) expect_whole({form, 0.2});
}

void CrossEntropyHalves::expect_whole(const ops::LabelSmoothing& smoothing) {
  constexpr int64_t kRows = 6, kVocabulary = 41, kCut = 17;
  const Tensor all =
      testing::random_tensor(context, {kRows, kVocabulary}, DType::kFloat32, dtype, 3, false, 3.0);
  const Tensor whole =
      testing::random_tensor(context, {kRows, kVocabulary}, DType::kFloat32, dtype, 3, false, 3.0);
  const Tensor targets = tensor_of(context, {kRows}, {0, 16, 17, 40, ops::kIgnoredTarget, 23}, DType::kInt32);
  Tensor part[2] = {all.slice(1, 0, kCut), all.slice(1, kCut, kVocabulary - kCut)};
  const ops::TargetDistribution q = ops::target_distribution(smoothing, kVocabulary);
  std::vector<double> maximum[2], exp_sum[2], target_logit[2], logit_sum[2];
  for (int i = 0; i < 2; ++i) {
    Tensor maxima = per_row(kRows), sums = per_row(kRows), hits = per_row(kRows), all_logits = per_row(kRows);
    ops::cross_entropy_statistics(context, part[i], targets, i * kCut, maxima, sums, hits, &all_logits);
    logit_sum[i] = values_of(all_logits);
    maximum[i] = values_of(maxima);
    exp_sum[i] = values_of(sums);
    target_logit[i] = values_of(hits);
  }
  std::vector<double> log_sum_exp, expected_losses;
  for (int64_t row = 0; row < kRows; ++row) {
    const double top = std::max(maximum[0][row], maximum[1][row]);
    log_sum_exp.push_back(top + std::log(exp_sum[0][row] * std::exp(maximum[0][row] - top) +
                                         exp_sum[1][row] * std::exp(maximum[1][row] - top)));
    const bool ignored = targets.data<int32_t>()[row] == ops::kIgnoredTarget;
    const double target = target_logit[0][row] + target_logit[1][row];
    const double others = logit_sum[0][row] + logit_sum[1][row];
    expected_losses.push_back(ignored ? 0.0
                                      : log_sum_exp.back() - (q.on_target - q.on_others) * target -
                                            q.on_others * others - q.entropy);
  }
  const double scale = 0.125;
  Tensor losses = per_row(kRows), in_place = whole;
  ops::softmax_cross_entropy(context, in_place, targets, losses, &scale, q);
  expect_near(losses, expected_losses, 8 * bound);
  const Tensor merged = tensor_of(context, {kRows}, log_sum_exp, dtype);
  for (int i = 0; i < 2; ++i)
    ops::cross_entropy_gradient(context, part[i], targets, i * kCut, merged, scale, q);
  expect_near(all, values_of(whole), bound);
}

TEST_P(CrossEntropy, StaysFiniteForHugeLogits) {
  Tensor logits = tensor_of(context, {2, 3}, {10000, -10000, 9999, -1e30, -1e30, -1e30}, dtype);
  const Tensor targets = tensor_of(context, {2}, {1, 2}, DType::kInt32);
  Tensor losses = per_row(2);
  const double scale = 1.0;
  ops::softmax_cross_entropy(context, logits, targets, losses, &scale);
  const double first = 1 / (1 + std::exp(-1.0));
  EXPECT_NEAR(values_of(losses)[0], 20000 - std::log(first), 2e-3);
  EXPECT_NEAR(values_of(losses)[1], std::log(3.0), bound);
  expect_near(logits, {first, -1, 1 - first, 1.0 / 3, 1.0 / 3, -2.0 / 3}, bound);
}

TEST_P(CrossEntropy, PassesNaNOnSoThatDivergenceIsSeen) {
  for (const int64_t place : {0, 3, 18}) {
    Tensor logits = tensor_of(context, {1, 19}, std::vector<double>(19, 1.0), dtype);
    dispatch_floating(
        dtype, [&]<class T>(T) { logits.data<T>()[place] = T(std::numeric_limits<float>::quiet_NaN()); });
    const Tensor targets = tensor_of(context, {1}, {5}, DType::kInt32);
    Tensor losses = per_row(1);
    ops::softmax_cross_entropy(context, logits, targets, losses, nullptr);
    EXPECT_TRUE(std::isnan(values_of(losses)[0])) << place;
  }
}

TEST_P(CrossEntropy, ARangeOfPaddingOnlyAddsNothing) {
  const double nothing = -std::numeric_limits<double>::infinity();
  const Tensor logits = tensor_of(context, {1, 3}, {nothing, nothing, nothing}, dtype);
  const Tensor targets = tensor_of(context, {1}, {0}, DType::kInt32);
  Tensor maximum = per_row(1), exp_sum = per_row(1), target_logit = per_row(1);
  ops::cross_entropy_statistics(context, logits, targets, 100, maximum, exp_sum, target_logit);
  EXPECT_EQ(values_of(maximum)[0], nothing);
  EXPECT_EQ(values_of(exp_sum)[0], 0.0);
  EXPECT_EQ(values_of(target_logit)[0], 0.0);
}

TEST_P(CrossEntropy, NamesTheRowOfATargetOutsideTheVocabulary) {
  Tensor logits = tensor_of(context, {3, 2}, {0, 0, 0, 0, 0, 0}, dtype);
  Tensor losses = per_row(3);
  for (const double wrong : {2.0, -2.0}) {
    const Tensor targets = tensor_of(context, {3}, {1, wrong, 0}, DType::kInt32);
    EXPECT_THAT(
        message_of<DataError>([&] { ops::softmax_cross_entropy(context, logits, targets, losses, nullptr); }),
        HasSubstr("target of row 1 is " + std::to_string(static_cast<int>(wrong)) +
                  ", outside the vocabulary of 2"));
  }
}

TEST_P(CrossEntropy, RefusesWhatDoesNotFit) {
  Tensor logits = context.workspace({3, 2}, dtype), losses = per_row(3), too_few = per_row(2);
  const Tensor targets = tensor_of(context, {3}, {0, 0, 0}, DType::kInt32);
  const Tensor floats = per_row(3), two_targets = tensor_of(context, {2}, {0, 0}, DType::kInt32);
  const auto refusal = [&](const Tensor& given_targets, Tensor& given_losses) {
    return message_of<ShapeError>(
        [&] { ops::softmax_cross_entropy(context, logits, given_targets, given_losses, nullptr); });
  };
  EXPECT_THAT(refusal(floats, losses), HasSubstr("softmax_cross_entropy: targets is"));
  EXPECT_THAT(refusal(two_targets, losses), HasSubstr("targets has shape [2]; expected [3]"));
  EXPECT_THAT(refusal(targets, too_few), HasSubstr("losses has shape [2]; expected [3]"));
}

INSTANTIATE_TEST_SUITE_P(Types, CrossEntropyHalves, ::testing::Values(DType::kFloat64, DType::kFloat32),
                         [](const auto& info) { return std::string(name_of(info.param)); });
INSTANTIATE_TEST_SUITE_P(Types, CrossEntropy, ::testing::Values(DType::kFloat64, DType::kFloat32),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace trireme
