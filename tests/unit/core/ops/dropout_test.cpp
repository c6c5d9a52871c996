#include "core/ops/dropout.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/ops/elementwise.h"
#include "tests/support/op_case.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::message_of;
using testing::random_tensor;
using testing::tensor_of;

ops::DropoutOptions options_for(Context& context, double probability, int64_t num_samples, int64_t length) {
  ops::DropoutOptions options;
  options.probability = probability;
  options.key = RandomKey::make(5, RandomPurpose::kDropout, 1, 2);
  options.sample_ids = context.zeros({num_samples}, DType::kInt64, MemoryCategory::kActivations);
  for (int64_t i = 0; i < num_samples; ++i) options.sample_ids.data<int64_t>()[i] = 40 + i;
  options.positions = context.zeros({num_samples, length}, DType::kInt32, MemoryCategory::kActivations);
  for (int64_t i = 0; i < num_samples * length; ++i)
    options.positions.data<int32_t>()[i] = static_cast<int32_t>(i % length);
  return options;
}

Tensor ones(Context& context, const Shape& shape, DType dtype) {
  Tensor tensor = context.workspace(shape, dtype);
  ops::fill(context, tensor, 1);
  return tensor;
}

TEST(Dropout, KeepsTheRightShareAndScalesIt) {
  Context context;
  for (const double probability : {0.1, 0.5, 0.9}) {
    const ops::DropoutOptions options = options_for(context, probability, 4, 64);
    const Tensor x = ones(context, {256, 512}, DType::kFloat32);
    Tensor y = context.workspace({256, 512}, DType::kFloat32);
    ops::dropout(context, options, x, nullptr, y);
    int64_t kept = 0;
    for (int64_t i = 0; i < y.num_elements(); ++i) {
      const float value = y.data<float>()[i];
      if (value != 0.0f) {
        ++kept;
        EXPECT_FLOAT_EQ(value, static_cast<float>(1.0 / (1.0 - probability)));
      }
    }
    const double count = static_cast<double>(y.num_elements());
    const double sigma = std::sqrt(probability * (1 - probability) / count);
    EXPECT_NEAR(static_cast<double>(kept) / count, 1 - probability, 5 * sigma);
  }
}

TEST(Dropout, MaskIsTheReferencesBitForBit) {
  Context fast, reference;
  fast.num_threads = 2;
  reference.reference_kernels = true;
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat16})
    for (const int64_t cols : {1, 5, 64, 331}) {
      const ops::DropoutOptions options = options_for(fast, 0.3, 3, 50);
      const Tensor x = ones(fast, {150, cols}, dtype);
      Tensor y = fast.workspace({150, cols}, dtype), expected = fast.workspace({150, cols}, dtype);
      ops::dropout(fast, options, x, nullptr, y);
      ops::dropout(reference, options, x, nullptr, expected);
      EXPECT_EQ(testing::values_of(y), testing::values_of(expected)) << cols;
    }
}

TEST(Dropout, MaskFollowsSamplePositionAndFeatureNotTheLayout) {
  Context context;
  const ops::DropoutOptions options = options_for(context, 0.5, 2, 4);
  const Tensor x = ones(context, {8, 16}, DType::kFloat32);
  Tensor whole = context.workspace({8, 16}, DType::kFloat32);
  ops::dropout(context, options, x, nullptr, whole);
  // The second sample's last two positions, columns 8 to 16, computed alone.
  ops::DropoutOptions part = options;
  part.sample_ids = options.sample_ids.slice(0, 1, 1);
  part.positions = options.positions.slice(0, 1, 1).slice(1, 2, 2);
  part.feature_offset = 8;
  Tensor piece = context.workspace({2, 8}, DType::kFloat32);
  ops::dropout(context, part, x.slice(0, 0, 2).slice(1, 0, 8), nullptr, piece);
  EXPECT_EQ(testing::values_of(piece), testing::values_of(whole.slice(0, 6, 2).slice(1, 8, 8)));
}

TEST(Dropout, ChangesWithKeySampleAndPosition) {
  Context context;
  const ops::DropoutOptions options = options_for(context, 0.5, 2, 2);
  const Tensor x = ones(context, {4, 256}, DType::kFloat32);
  Tensor y = context.workspace({4, 256}, DType::kFloat32),
         other = context.workspace({4, 256}, DType::kFloat32);
  ops::dropout(context, options, x, nullptr, y);
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t j = 0; j < i; ++j)
      EXPECT_NE(testing::values_of(y.slice(0, i, 1)), testing::values_of(y.slice(0, j, 1)));
  ops::DropoutOptions changed = options;
  changed.key = RandomKey::make(5, RandomPurpose::kDropout, 2, 2);
  ops::dropout(context, changed, x, nullptr, other);
  EXPECT_NE(testing::values_of(y), testing::values_of(other));
}

TEST(Dropout, OfProbabilityZeroAddsTheResidualToACopy) {
  Context context;
  const ops::DropoutOptions options = options_for(context, 0.0, 1, 2);
  const Tensor x = random_tensor(context, {2, 20}, DType::kFloat32, DType::kFloat32, 1);
  const Tensor residual = random_tensor(context, {2, 20}, DType::kFloat32, DType::kFloat32, 2);
  Tensor y = context.workspace({2, 20}, DType::kFloat32),
         expected = context.workspace({2, 20}, DType::kFloat32);
  ops::dropout(context, options, x, nullptr, y);
  EXPECT_EQ(testing::values_of(y), testing::values_of(x));
  ops::dropout(context, options, x, &residual, y);
  ops::add(context, x, residual, expected);
  EXPECT_EQ(testing::values_of(y), testing::values_of(expected));
}

TEST(Dropout, RefusesProbabilitiesOffsetsAndPositionsThatDoNotFit) {
  Context context;
  const Tensor x = ones(context, {2, 4}, DType::kFloat32);
  Tensor y = context.workspace({2, 4}, DType::kFloat32);
  const ops::DropoutOptions good = options_for(context, 0.5, 1, 2);
  ops::DropoutOptions bad = good;
  bad.probability = 1.0;
  EXPECT_EQ(message_of<ShapeError>([&] { ops::dropout(context, bad, x, nullptr, y); }),
            "dropout: probability is 1; expected [0, 1)");
  bad = good;
  bad.feature_offset = 6;
  EXPECT_EQ(message_of<ShapeError>([&] { ops::dropout(context, bad, x, nullptr, y); }),
            "dropout: feature_offset is 6; expected a multiple of 4");
  bad = good;
  bad.positions = tensor_of(context, {1, 3}, {0, 1, 2}, DType::kInt32);
  EXPECT_EQ(
      message_of<ShapeError>([&] { ops::dropout(context, bad, x, nullptr, y); }),
      "dropout: positions has shape [1, 3]; expected [samples, length] with 2 elements, one per row of x");
  bad = good;
  bad.sample_ids = context.zeros({2}, DType::kInt64, MemoryCategory::kActivations);
  EXPECT_EQ(message_of<ShapeError>([&] { ops::dropout(context, bad, x, nullptr, y); }),
            "dropout: sample_ids has shape [2]; expected [1]");
}

}  // namespace
}  // namespace trireme
