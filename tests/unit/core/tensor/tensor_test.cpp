#include "core/tensor/tensor.h"

#include <gtest/gtest.h>

#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::message_of;
using testing::tensor_of;
using testing::values_of;

class TensorTest : public ::testing::Test {
 protected:
  Context context;

  Tensor counting(const Shape& shape, bool padded = false) {
    Tensor tensor =
        padded
            ? Tensor::allocate_padded(context.allocator, shape, DType::kFloat32, MemoryCategory::kActivations)
            : Tensor::allocate(context.allocator, shape, DType::kFloat32, MemoryCategory::kActivations);
    float next = 0;
    for (int64_t i = 0; i < tensor.rows(); ++i)
      for (int64_t j = 0; j < tensor.cols(); ++j) tensor.row<float>(i)[j] = next++;
    return tensor;
  }
};

TEST_F(TensorTest, KnowsItsExtents) {
  const Tensor tensor = counting({2, 3, 4});
  EXPECT_EQ(tensor.dim(), 3);
  EXPECT_EQ(tensor.size(0), 2);
  EXPECT_EQ(tensor.size(-1), 4);
  EXPECT_EQ(tensor.rows(), 6);
  EXPECT_EQ(tensor.cols(), 4);
  EXPECT_EQ(tensor.num_bytes(), 96);
  EXPECT_TRUE(tensor.is_contiguous());
  EXPECT_EQ(message_of<ShapeError>([&] { tensor.size(3); }), "dimension 3 of a tensor of shape [2, 3, 4]");
}

TEST_F(TensorTest, ScalarsAndEmptyTensorsAreTensors) {
  const Tensor scalar = tensor_of(context, {}, {3});
  EXPECT_EQ(scalar.num_elements(), 1);
  EXPECT_EQ(scalar.rows(), 1);
  const Tensor empty = counting({0, 5});
  EXPECT_EQ(empty.num_elements(), 0);
  EXPECT_EQ(empty.rows(), 0);
  EXPECT_FALSE(Tensor().defined());
}

TEST_F(TensorTest, RowSlicesShareTheirMemory) {
  const Tensor tensor = counting({3, 2});
  const Tensor last = tensor.slice(0, 1, 2);
  EXPECT_EQ(values_of(last), (std::vector<double>{2, 3, 4, 5}));
  last.data<float>()[0] = 50;
  EXPECT_EQ(tensor.data<float>()[2], 50);
}

TEST_F(TensorTest, ColumnSlicesKeepTheRowStride) {
  for (const int dim : {-1, 2}) {
    const Tensor middle = counting({2, 2, 4}).slice(dim, 1, 2);
    EXPECT_EQ(middle.shape(), (Shape{2, 2, 2}));
    EXPECT_EQ(middle.row_stride(), 4);
    EXPECT_FALSE(middle.is_contiguous());
    EXPECT_EQ(values_of(middle), (std::vector<double>{1, 2, 5, 6, 9, 10, 13, 14}));
    EXPECT_EQ(values_of(middle.slice(0, 1, 1)), (std::vector<double>{9, 10, 13, 14}));
    EXPECT_EQ(values_of(middle.slice(-1, 1, 1)), (std::vector<double>{2, 6, 10, 14}));
  }
}

TEST_F(TensorTest, SliceOfAVectorIsContiguous) {
  const Tensor part = counting({6}).slice(0, 2, 3);
  EXPECT_TRUE(part.is_contiguous());
  EXPECT_EQ(values_of(part), (std::vector<double>{2, 3, 4}));
  EXPECT_EQ(part.reshape({3, 1}).shape(), (Shape{3, 1}));
}

TEST_F(TensorTest, RefusesSlicesThatLeaveTheTensorOrItsMiddle) {
  const Tensor tensor = counting({2, 3, 4});
  EXPECT_EQ(message_of<ShapeError>([&] { tensor.slice(0, 1, 2); }),
            "slice [1, 3) of dimension 0 of [2, 3, 4]");
  EXPECT_EQ(message_of<ShapeError>([&] { tensor.slice(1, 0, 1); }),
            "slice [0, 1) of dimension 1 of [2, 3, 4]");
  EXPECT_THROW(tensor.slice(-1, -1, 2), ShapeError);
  EXPECT_THROW(tensor.slice(-1, 0, -1), ShapeError);
}

TEST_F(TensorTest, ReshapesAndFillsInOneExtent) {
  const Tensor tensor = counting({2, 6});
  EXPECT_EQ(tensor.reshape({3, -1}).shape(), (Shape{3, 4}));
  EXPECT_EQ(values_of(tensor.reshape({12})), values_of(tensor));
  EXPECT_EQ(message_of<ShapeError>([&] {
              tensor.reshape({5, 2});
            }),
            "reshape of [2, 6] (row stride 6) to [5, 2]");
  EXPECT_THROW(tensor.reshape({5, -1}), ShapeError);
  EXPECT_THROW(tensor.reshape({-1, -1}), ShapeError);
}

TEST_F(TensorTest, StridedRowsKeepTheirLastDimension) {
  const Tensor columns = counting({4, 6}).slice(1, 2, 3);
  const Tensor split = columns.reshape({2, 2, 3});
  EXPECT_EQ(split.row_stride(), 6);
  EXPECT_EQ(values_of(split), values_of(columns));
  EXPECT_THROW(columns.reshape({12}), ShapeError);
  EXPECT_THROW(columns.reshape({4, 3, 1}), ShapeError);
}

TEST_F(TensorTest, PaddedRowsAvoidStridesThatShareCacheSets) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat64})
    for (const int64_t cols : {1, 100, 512, 513, 768, 1024, 3072, 50257, 50304}) {
      const Tensor tensor =
          Tensor::allocate_padded(context.allocator, {2, cols}, dtype, MemoryCategory::kActivations);
      EXPECT_GE(tensor.row_stride(), cols);
      const int64_t bytes = tensor.row_stride() * size_of(dtype);
      if (cols * size_of(dtype) < 1024) {
        EXPECT_EQ(tensor.row_stride(), cols);
      } else {
        EXPECT_EQ(bytes % 64, 0);
        EXPECT_NE(bytes % 512, 0);
        EXPECT_LE(bytes, cols * size_of(dtype) + 128);
      }
    }
  EXPECT_EQ(values_of(counting({3, 1024}, true)), values_of(counting({3, 1024})));
}

TEST_F(TensorTest, RefusesToBeReadAsAnotherType) {
  const Tensor tensor = counting({2});
  EXPECT_EQ(message_of<ShapeError>([&] { tensor.data<double>(); }),
            "a float32 tensor of shape [2] was read as float64");
}

TEST_F(TensorTest, ViewsMustFitIntoTheirStorage) {
  const Tensor tensor = counting({16});
  const Tensor view = Tensor::view_of(tensor.storage(), 8, {2, 2}, DType::kFloat32);
  EXPECT_EQ(values_of(view), (std::vector<double>{2, 3, 4, 5}));
  EXPECT_THROW(Tensor::view_of(tensor.storage(), tensor.storage()->size(), {1}, DType::kFloat32), ShapeError);
  EXPECT_THROW(Tensor::view_of(tensor.storage(), -4, {1}, DType::kFloat32), ShapeError);
}

TEST_F(TensorTest, ZerosAreZeroEvenInReusedMemory) {
  for (int round = 0; round < 2; ++round) {
    Tensor zeros = context.zeros({100}, DType::kFloat32, MemoryCategory::kGradients);
    EXPECT_EQ(values_of(zeros), std::vector<double>(100, 0.0));
    zeros.data<float>()[50] = 1;
  }
}

}  // namespace
}  // namespace trireme
