#include "core/ops/recurrent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "tests/support/gradient_check.h"
#include "tests/support/values.h"

// Values from PyTorch: tests/oracle/functions_oracle_test.cpp.
namespace trireme {
namespace {

using testing::expect_near;
using ::testing::HasSubstr;
using testing::message_of;
using testing::normal_tensor;
using testing::tensor_of;
using testing::values_of;

class Recurrent : public ::testing::TestWithParam<ops::RecurrentKind> {
 protected:
  static constexpr int64_t kBatch = 3, kLength = 4, kHidden = 5;
  Context context;
  ops::RecurrentOptions options{GetParam(), kBatch, kLength, kHidden};
  const int64_t gates = ops::num_gates(GetParam()) * kHidden;
  Tensor x = draw({kBatch * kLength, gates}, 1), weight = draw({gates, kHidden}, 2), bias = draw({gates}, 3);
  ops::RecurrentState first = state(4);

  Tensor draw(const Shape& shape, uint64_t seed) {
    return normal_tensor(context, shape, DType::kFloat64, seed);
  }
  ops::RecurrentState state(uint64_t seed) {
    ops::RecurrentState result{draw({kBatch, kHidden}, seed)};
    if (GetParam() == ops::RecurrentKind::kLstm) result.cell = draw({kBatch, kHidden}, seed + 1);
    return result;
  }
  struct Result {
    Tensor out;
    ops::RecurrentState last;
  };
  Result run(const ops::RecurrentOptions& of, const Tensor& input, const ops::RecurrentState& from) {
    Result result{context.workspace({of.num_samples * of.length, kHidden}, DType::kFloat64), state(9)};
    ops::RecurrentSaved saved = ops::make_recurrent_saved(context, of, DType::kFloat64);
    ops::recurrent_forward(context, of, input, {weight, &bias}, from, result.out, result.last, saved);
    return result;
  }
};

TEST_P(Recurrent, StepByStepGivesTheWholeSequence) {
  const Result whole = run(options, x, first);
  ops::RecurrentOptions one = options;
  one.length = 1;
  ops::RecurrentState at = first;
  for (int64_t step = 0; step < kLength; ++step) {
    Tensor input = context.workspace({kBatch, gates}, DType::kFloat64);
    std::vector<double> expected;
    for (int64_t sample = 0; sample < kBatch; ++sample) {
      Tensor row = input.slice(0, sample, 1);
      ops::cast(context, x.slice(0, sample * kLength + step, 1), row);
      const std::vector<double> part = values_of(whole.out.slice(0, sample * kLength + step, 1));
      expected.insert(expected.end(), part.begin(), part.end());
    }
    const Result result = run(one, input, at);
    expect_near(result.out, expected, 1e-14);
    at = result.last;
  }
  expect_near(at.hidden, values_of(whole.last.hidden), 1e-14);
}

TEST_P(Recurrent, PaddingNeitherCountsNorMovesTheState) {
  options.lengths = tensor_of(context, {kBatch}, {4, 2, 0}, DType::kInt32);
  for (const bool reverse : {false, true}) {
    options.reverse = reverse;
    const Result result = run(options, x, first);
    Tensor other = testing::clone(context, x);
    for (const int64_t row : {6, 7, 8, 9, 10, 11}) {
      Tensor padding = other.slice(0, row, 1);
      ops::fill(context, padding, 77.0);
    }
    const Result with_other_padding = run(options, other, first);
    EXPECT_EQ(values_of(result.out), values_of(with_other_padding.out));
    EXPECT_EQ(values_of(result.last.hidden), values_of(with_other_padding.last.hidden));
    expect_near(result.out.slice(0, 6, 6), std::vector<double>(6 * kHidden, 0.0), 0.0);
    // A sample of no steps keeps its first state; one of two steps ends where a sequence of two does.
    expect_near(result.last.hidden.slice(0, 2, 1), values_of(first.hidden.slice(0, 2, 1)), 0.0);
    const int64_t last_row = reverse ? 4 : 5;
    expect_near(result.last.hidden.slice(0, 1, 1), values_of(result.out.slice(0, last_row, 1)), 0.0);
  }
}

TEST_P(Recurrent, RefusesWhatDoesNotFit) {
  Tensor narrow = draw({kBatch * kLength, gates - 1}, 1);
  EXPECT_THAT(message_of<ShapeError>([&] { run(options, narrow, first); }),
              HasSubstr("recurrent_forward: x has shape"));
  options.lengths = tensor_of(context, {kBatch}, {4, 5, 0}, DType::kInt32);
  EXPECT_THAT(message_of<DataError>([&] { run(options, x, first); }),
              HasSubstr("the length of sample 1 is 5; expected a number in [0, 4]"));
}

INSTANTIATE_TEST_SUITE_P(Kinds, Recurrent,
                         ::testing::Values(ops::RecurrentKind::kRnnTanh, ops::RecurrentKind::kRnnRelu,
                                           ops::RecurrentKind::kGru, ops::RecurrentKind::kLstm));

}  // namespace
}  // namespace trireme
