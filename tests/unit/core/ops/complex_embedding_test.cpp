#include "core/ops/complex_embedding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <complex>

#include "core/base/error.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::expect_near;
using ::testing::HasSubstr;
using testing::message_of;
using testing::tensor_of;

class ComplexEmbedding : public ::testing::Test {
 protected:
  Context context;
  Tensor amplitude = tensor_of(context, {2, 2}, {2, -1, 0.5, 3}),
         frequency = tensor_of(context, {2, 2}, {0.1, 0, 2, -1}),
         phase = tensor_of(context, {2, 2}, {0, 0.5, -1, 3});
  Tensor ids = tensor_of(context, {3}, {1, 0, 1}, DType::kInt32),
         positions = tensor_of(context, {3}, {0, 3, 7}, DType::kInt32),
         out = context.workspace({3, 4}, DType::kFloat64);
};

TEST_F(ComplexEmbedding, TurnsEachWordWithItsPosition) {
  ops::complex_embedding_forward(context, amplitude, frequency, phase, ids, positions, out);
  std::vector<double> expected(12);
  const double r[] = {2, -1, 0.5, 3}, w[] = {0.1, 0, 2, -1}, theta[] = {0, 0.5, -1, 3};
  for (int row = 0; row < 3; ++row)
    for (int col = 0; col < 2; ++col) {
      const int at = ids.data<int32_t>()[row] * 2 + col;
      const auto word =
          r[at] * std::exp(std::complex<double>(0, w[at] * positions.data<int32_t>()[row] + theta[at]));
      expected[row * 4 + col] = word.real();
      expected[row * 4 + 2 + col] = word.imag();
    }
  expect_near(out, expected, 1e-14);
}

TEST_F(ComplexEmbedding, OfAPartOfTheVocabularyGivesZerosForTheRest) {
  ops::complex_embedding_forward(context, amplitude, frequency, phase, ids, positions, out);
  const std::vector<double> whole = testing::values_of(out);
  Tensor second = context.workspace({3, 4}, DType::kFloat64);
  const auto row = [](const Tensor& table) { return table.slice(0, 1, 1); };
  const ops::TableRange range{1, 2};
  ops::complex_embedding_forward(context, row(amplitude), row(frequency), row(phase), ids, positions, second,
                                 range);
  std::vector<double> expected = whole;
  std::fill_n(expected.begin() + 4, 4, 0.0);  // of id 0
  expect_near(second, expected, 0);
  EXPECT_THAT(message_of<ShapeError>([&] {
                ops::complex_embedding_forward(context, amplitude, frequency, phase, ids, positions, second,
                                               range);
              }),
              HasSubstr("amplitude holds rows [1, 3); expected a range inside the vocabulary [0, 2)"));
}

TEST_F(ComplexEmbedding, AnIdWithoutARowGivesZeros) {
  ids.data<int32_t>()[1] = ops::kNoRow;
  ops::complex_embedding_forward(context, amplitude, frequency, phase, ids, positions, out);
  expect_near(out.slice(0, 1, 1), std::vector<double>(4, 0.0), 0);
}

TEST_F(ComplexEmbedding, NamesAnIdOutsideTheVocabulary) {
  ids.data<int32_t>()[1] = 2;
  EXPECT_THAT(message_of<DataError>([&] {
                ops::complex_embedding_forward(context, amplitude, frequency, phase, ids, positions, out);
              }),
              HasSubstr("id 2 at position 1 is outside the vocabulary [0, 2)"));
}

TEST_F(ComplexEmbedding, RefusesWhatDoesNotFit) {
  const Tensor two = tensor_of(context, {2}, {0, 1}, DType::kInt32);
  EXPECT_THAT(message_of<ShapeError>([&] {
                ops::complex_embedding_forward(context, amplitude, frequency, phase, ids, two, out);
              }),
              HasSubstr("positions has shape [2]; expected 3 elements, one an id"));
  Tensor narrow = context.workspace({3, 2}, DType::kFloat64);
  EXPECT_THAT(message_of<ShapeError>([&] {
                ops::complex_embedding_forward(context, amplitude, frequency, phase, ids, positions, narrow);
              }),
              HasSubstr("out has shape [3, 2]; expected [3, 4]"));
}

}  // namespace
}  // namespace trireme
