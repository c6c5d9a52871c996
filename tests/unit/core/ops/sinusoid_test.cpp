#include "core/ops/sinusoid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "tests/support/values.h"

// Marian's table: tests/oracle/functions_oracle_test.cpp.
namespace trireme {
namespace {

using ops::SinusoidForm;
using ::testing::HasSubstr;
using testing::message_of;
using testing::tensor_of;
using testing::values_of;

class Sinusoids : public ::testing::Test {
 protected:
  std::vector<double> table(SinusoidForm form, int64_t width) {
    Tensor out = context.workspace({static_cast<int64_t>(positions.size()), width}, DType::kFloat64);
    const Tensor given =
        tensor_of(context, {static_cast<int64_t>(positions.size())}, positions, DType::kInt32);
    ops::sinusoid_rows(form, given, out);
    return values_of(out);
  }
  void expect_column(const std::vector<double>& of, int64_t width, int64_t col, double frequency,
                     bool cosine) {
    for (size_t i = 0; i < positions.size(); ++i) {
      const double angle = positions[i] * frequency;
      EXPECT_NEAR(of[i * static_cast<size_t>(width) + static_cast<size_t>(col)],
                  cosine ? std::cos(angle) : std::sin(angle), 1e-13)
          << "position " << positions[i] << ", column " << col;
    }
  }
  Context context;
  std::vector<double> positions = {0, 1, 2, 50, 4999, -3};
};

TEST_F(Sinusoids, OfThePaperAlternateSinesAndCosines) {
  for (const int64_t width : {6, 10}) {
    const std::vector<double> of = table(SinusoidForm::kInterleaved, width);
    for (int64_t col = 0; col < width; ++col)
      expect_column(of, width, col,
                    std::pow(10000.0, -static_cast<double>(col / 2 * 2) / static_cast<double>(width)),
                    col % 2 == 1);
  }
}

TEST_F(Sinusoids, OfMarianAreThePapersWithTheSinesFirst) {
  const std::vector<double> of = table(SinusoidForm::kConcatenated, 6);
  for (int64_t i = 0; i < 3; ++i) {
    expect_column(of, 6, i, std::pow(10000.0, -static_cast<double>(i) / 3.0), false);
    expect_column(of, 6, 3 + i, std::pow(10000.0, -static_cast<double>(i) / 3.0), true);
  }
}

TEST_F(Sinusoids, OfTensor2TensorReachTheLongestPeriodInTheLastColumn) {
  for (const int64_t width : {8}) {
    const std::vector<double> of = table(SinusoidForm::kTensor2Tensor, width);
    for (int64_t i = 0; i < 4; ++i) {
      expect_column(of, width, i, std::pow(10000.0, -static_cast<double>(i) / 3.0), false);
      expect_column(of, width, 4 + i, std::pow(10000.0, -static_cast<double>(i) / 3.0), true);
    }
  }
}

TEST_F(Sinusoids, WantOneRowAPosition) {
  Tensor out = context.workspace({3, 4}, DType::kFloat32);
  const Tensor two = tensor_of(context, {2}, {0, 1}, DType::kInt32);
  EXPECT_THAT(message_of<ShapeError>([&] { ops::sinusoid_rows(SinusoidForm::kInterleaved, two, out); }),
              HasSubstr("rows has shape [3, 4]; expected 2 rows, one a position"));
}

}  // namespace
}  // namespace trireme
