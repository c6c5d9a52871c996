#include "parallel/tensor_parallel/vocabulary_cross_entropy.h"

#include <gtest/gtest.h>

#include "core/autograd/functions/linear_cross_entropy.h"
#include "core/ops/elementwise.h"
#include "parallel/comm/thread_communicator.h"
#include "tests/support/test_batch.h"
#include "tests/support/test_parameters.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::TestParameters;
using testing::values_of;

constexpr int64_t kVocabulary = 11, kWidth = 6, kRows = 12, kChunk = 4 * 8 * 5;
constexpr double kScale = 0.7;

struct Case {
  ops::LabelSmoothing smoothing;
  int64_t ignore_but_every = 1;  ///< 1: the batch's own targets
};

Tensor targets_of(Context& context, const Case& of) {
  Tensor targets = testing::random_batch(context, 2, kRows / 2, kVocabulary, 3).targets;
  for (int64_t i = 0; i < kRows; ++i)
    if (i % of.ignore_but_every != 0) targets.data<int32_t>()[i] = ops::kIgnoredTarget;
  return targets;
}

/// Weight and bias of the words [begin, begin + size), in a store of their own.
struct Head {
  Head(Context& context, int64_t begin, int64_t size)
      : weight(parameters.add("weight", {size, kWidth})), bias(parameters.add("bias", {size})) {
    parameters.allocate(context);
    const auto fill = [&](Parameter& parameter, Shape shape, uint64_t seed) {
      const Tensor whole = testing::normal_tensor(context, std::move(shape), DType::kFloat64, seed);
      ops::cast(context, whole.slice(0, begin, size), parameter.value);
    };
    fill(weight, {kVocabulary, kWidth}, 8);
    fill(bias, {kVocabulary}, 9);
  }
  TestParameters parameters;
  Parameter &weight, &bias;
};

struct Result {
  TokenLoss loss;
  std::vector<double> d_weight, d_bias, d_x;
};

Result finished(Context& context, TokenLoss loss, const Head& head, const Variable& x) {
  backward(context, {{loss.scaled, testing::tensor_of(context, {1}, {1.0})}});
  return {loss, values_of(head.weight.gradient), values_of(head.bias.gradient), values_of(x.gradient())};
}

void expect_close(const std::vector<double>& given, const std::vector<double>& all, size_t begin) {
  ASSERT_LE(begin + given.size(), all.size());
  for (size_t i = 0; i < given.size(); ++i) EXPECT_NEAR(given[i], all[begin + i], 1e-12) << i;
}

void expect_parity(const Case& of, int num_ranks, bool sharded) {
  Context plain;
  const Tensor hidden = testing::normal_tensor(plain, {kRows, kWidth}, DType::kFloat64, 5);
  Head head(plain, 0, kVocabulary);
  const Variable x = Variable::leaf(plain, hidden);
  const Result expected = finished(plain,
                                   linear_cross_entropy(plain, x, head.weight, targets_of(plain, of), kScale,
                                                        {&head.bias, of.smoothing, kChunk}),
                                   head, x);
  comm::run_thread_ranks(num_ranks, [&](Communicator& world) {
    Context context;
    RowExchange exchange(world, sharded);
    const int64_t rank = world.rank(), ranks = world.size();
    const int64_t begin = kVocabulary * rank / ranks, end = kVocabulary * (rank + 1) / ranks;
    Head part(context, begin, end - begin);
    const int64_t first_row = sharded ? kRows * rank / ranks : 0, rows = sharded ? kRows / ranks : kRows;
    const Variable mine = Variable::leaf(context, testing::clone(context, hidden.slice(0, first_row, rows)));
    const Result given = finished(
        context,
        vocabulary_cross_entropy(context, exchange, mine, part.weight, begin, kVocabulary,
                                 targets_of(context, of), kScale, {&part.bias, of.smoothing, kChunk}),
        part, mine);
    EXPECT_NEAR(given.loss.sum, expected.loss.sum, 1e-12);
    EXPECT_EQ(given.loss.count, expected.loss.count);
    EXPECT_EQ(given.loss.right, expected.loss.right);
    expect_close(given.d_weight, expected.d_weight, static_cast<size_t>(begin * kWidth));
    expect_close(given.d_bias, expected.d_bias, static_cast<size_t>(begin));
    expect_close(given.d_x, expected.d_x, static_cast<size_t>(first_row * kWidth));
  });
}

TEST(VocabularyCrossEntropy, WithBiasSmoothingAndFewTargetsEqualsThatOfOneRank) {
  using ops::SmoothingForm;
  const ops::LabelSmoothing kSmoothings[] = {{},
                                             {SmoothingForm::kUniform, 0.1},
                                             {SmoothingForm::kOthers, 0.2},
                                             {SmoothingForm::kOthersNormalized, 0.3}};
  for (const ops::LabelSmoothing& smoothing : kSmoothings)
    for (const int64_t every : {1, 3, 100})
      for (const int num_ranks : {1, 2, 3})
        for (const bool sharded : {false, true}) expect_parity({smoothing, every}, num_ranks, sharded);
}

}  // namespace
}  // namespace trireme
