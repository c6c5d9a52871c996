#include "core/ops/embedding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::expect_near;
using testing::message_of;
using testing::tensor_of;

TEST(Embedding, CopiesOrAddsTheRowsOfTheIds) {
  Context context;
  for (const DType dtype : {DType::kFloat64, DType::kFloat32, DType::kBFloat16, DType::kFloat16}) {
    const Tensor table = tensor_of(context, {3, 2}, {1, 2, 3, 4, 5, 6}, dtype);
    const Tensor ids = tensor_of(context, {2, 2}, {2, 0, 2, 1}, DType::kInt32);
    Tensor out = tensor_of(context, {2, 2, 2}, {9, 9, 9, 9, 9, 9, 9, 9}, dtype);
    ops::embedding_forward(context, table, ids, out);
    expect_near(out, {5, 6, 1, 2, 5, 6, 3, 4}, 0);
    ops::embedding_forward(context, table, ids, out, true);
    expect_near(out, {10, 12, 2, 4, 10, 12, 6, 8}, 0);
  }
}

TEST(Embedding, BackwardAddsUpRepeatedIdsAndClearsTheOthers) {
  Context context;
  for (const DType dtype : {DType::kFloat64, DType::kFloat32, DType::kBFloat16, DType::kFloat16}) {
    const DType wide = dtype == DType::kFloat64 ? dtype : DType::kFloat32;
    const Tensor d_out = tensor_of(context, {4, 2}, {1, 2, 10, 20, 100, 200, 64, 128}, dtype);
    const Tensor ids = tensor_of(context, {4}, {2, 0, 2, 2}, DType::kInt32);
    Tensor d_table = tensor_of(context, {3, 2}, {7, 7, 7, 7, 7, 7}, wide);
    ops::embedding_backward(context, d_out, ids, d_table, false);
    expect_near(d_table, {10, 20, 0, 0, 165, 330}, 0);
    ops::embedding_backward(context, d_out, ids, d_table, true);
    expect_near(d_table, {20, 40, 0, 0, 330, 660}, 0);
  }
}

TEST(Embedding, AnIdWithoutARowGivesZerosAndTakesNoGradient) {
  Context context;
  for (const DType dtype : {DType::kFloat64, DType::kFloat32}) {
    const Tensor table = tensor_of(context, {2, 2}, {1, 2, 3, 4}, dtype);
    const Tensor ids = tensor_of(context, {3}, {1, ops::kNoRow, 0}, DType::kInt32);
    Tensor out = tensor_of(context, {3, 2}, {9, 9, 9, 9, 9, 9}, dtype);
    ops::embedding_forward(context, table, ids, out);
    expect_near(out, {3, 4, 0, 0, 1, 2}, 0);
    Tensor d_table = tensor_of(context, {2, 2}, {7, 7, 7, 7}, dtype);
    ops::embedding_backward(context, out, ids, d_table, false);
    expect_near(d_table, {1, 2, 3, 4}, 0);
  }
}

TEST(Embedding, RangesOfTheVocabularyAddUpToTheWholeTable) {
  Context context;
  for (const DType dtype : {DType::kFloat64, DType::kFloat32, DType::kBFloat16}) {
    const DType wide = dtype == DType::kFloat64 ? dtype : DType::kFloat32;
    const Tensor table = tensor_of(context, {3, 2}, {1, 2, 3, 4, 5, 6}, dtype);
    const Tensor ids = tensor_of(context, {4}, {2, 0, 2, 1}, DType::kInt32);
    Tensor out = tensor_of(context, {4, 2}, {9, 9, 9, 9, 9, 9, 9, 9}, dtype);
    ops::embedding_forward(context, table.slice(0, 0, 1), ids, out, false, {0, 3});
    expect_near(out, {0, 0, 1, 2, 0, 0, 0, 0}, 0);
    ops::embedding_forward(context, table.slice(0, 1, 2), ids, out, true, {1, 3});
    expect_near(out, {5, 6, 1, 2, 5, 6, 3, 4}, 0);

    Tensor d_table = tensor_of(context, {2, 2}, {7, 7, 7, 7}, wide);
    ops::embedding_backward(context, out, ids, d_table, false, {1, 3});
    expect_near(d_table, {3, 4, 10, 12}, 0);
    ops::embedding_backward(context, out, ids, d_table, true, {1, 3});
    expect_near(d_table, {6, 8, 20, 24}, 0);
  }
}

TEST(Embedding, KnowsAnIdOfAnotherRangeFromOneOutsideTheVocabulary) {
  Context context;
  const Tensor table = tensor_of(context, {2, 1}, {1, 2}, DType::kFloat32);
  Tensor out = tensor_of(context, {2, 1}, {9, 9}, DType::kFloat32);
  const Tensor ids = tensor_of(context, {2}, {0, 5}, DType::kInt32);
  ops::embedding_forward(context, table, ids, out, false, {2, 6});
  expect_near(out, {0, 0}, 0);
  EXPECT_THAT(message_of<DataError>([&] {
                ops::embedding_forward(context, table, ids, out, false, {2, 5});
              }),
              ::testing::HasSubstr("id 5 at position 1 is outside the vocabulary [0, 5)"));
  EXPECT_EQ(message_of<ShapeError>([&] {
              ops::embedding_forward(context, table, ids, out, false, {5, 6});
            }),
            "embedding_forward: table holds rows [5, 7); expected a range inside the vocabulary [0, 6)");
}

TEST(Embedding, NamesTheIdOutsideTheVocabularyBeforeItWrites) {
  Context context;
  const Tensor table = tensor_of(context, {3, 1}, {1, 2, 3}, DType::kFloat32);
  Tensor out = tensor_of(context, {4}, {9, 9, 9, 9}, DType::kFloat32).reshape({4, 1});
  const Tensor high = tensor_of(context, {2, 2}, {0, 1, 2, 3}, DType::kInt32);
  const Tensor negative = tensor_of(context, {4}, {0, -2, 2, 0}, DType::kInt32);
  EXPECT_EQ(message_of<DataError>([&] { ops::embedding_forward(context, table, high, out); }),
            "embedding_forward: id 3 at position 3 is outside the vocabulary [0, 3); the data set and the "
            "model use "
            "different tokenizers");
  expect_near(out, {9, 9, 9, 9}, 0);
  Tensor d_table = table;
  const std::string message =
      message_of<DataError>([&] { ops::embedding_backward(context, out, negative, d_table, false); });
  EXPECT_NE(message.find("id -2 at position 1"), std::string::npos) << message;
  expect_near(d_table, {1, 2, 3}, 0);
}

TEST(Embedding, RefusesRowsThatDoNotFit) {
  Context context;
  const Tensor table = tensor_of(context, {3, 2}, {1, 2, 3, 4, 5, 6}, DType::kFloat32);
  const Tensor ids = tensor_of(context, {2}, {0, 1}, DType::kInt32);
  Tensor narrow = tensor_of(context, {2, 1}, {0, 0}, DType::kFloat32);
  Tensor other_type = tensor_of(context, {2, 2}, {0, 0, 0, 0}, DType::kBFloat16);
  EXPECT_EQ(message_of<ShapeError>([&] { ops::embedding_forward(context, table, ids, narrow); }),
            "embedding_forward: out has shape [2, 1]; expected 2 rows of 2");
  EXPECT_EQ(message_of<ShapeError>([&] { ops::embedding_forward(context, table, ids, other_type); }),
            "embedding_forward: out is bfloat16; expected float32");
  EXPECT_EQ(message_of<ShapeError>(
                [&] { ops::embedding_backward(context, table.slice(0, 0, 2), ids, other_type, false); }),
            "embedding_backward: d_table is bfloat16; expected float32");
}

}  // namespace
}  // namespace trireme
