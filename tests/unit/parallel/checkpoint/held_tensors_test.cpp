#include "parallel/checkpoint/held_tensors.h"

#include <gtest/gtest.h>

#include <random>

#include "core/base/error.h"

namespace trireme::checkpoint {
namespace {

/// The numbers of a tensor whose rows may lie apart, in the order of its elements.
std::vector<int32_t> numbers_of(const Tensor& tensor) {
  std::vector<int32_t> numbers;
  for (int64_t row = 0; row < tensor.rows(); ++row)
    for (int64_t col = 0; col < tensor.cols(); ++col) numbers.push_back(tensor.row<int32_t>(row)[col]);
  return numbers;
}

HeldTensor hold(const Box& box, const Tensor& data) {
  TensorBox tensor;
  tensor.box = box;
  return {tensor, data};
}

/// Those that lie in `part`, found one by one.
std::vector<int32_t> expected_numbers(const HeldTensor& held, const Box& part) {
  const std::vector<int32_t> all = numbers_of(held.data);
  std::vector<int32_t> numbers;
  for (size_t i = 0; i < all.size(); ++i) {
    auto rest = static_cast<int64_t>(i);
    bool inside = true;
    for (size_t dim = part.offset.size(); dim-- > 0;) {
      const int64_t at = held.box.box.offset[dim] + rest % held.box.box.extent[dim];
      inside = inside && at >= part.offset[dim] && at < part.offset[dim] + part.extent[dim];
      rest /= held.box.box.extent[dim];
    }
    if (inside) numbers.push_back(all[i]);
  }
  return numbers;
}

TEST(HeldTensors, APartIsAViewOfItsNumbers) {
  const uint32_t seed = 20261121;
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  const auto below = [&](int64_t bound) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(bound));
  };
  Context context;
  for (int draw = 0; draw < 500; ++draw) {
    Box whole;
    for (int64_t dim = 1 + below(3); dim-- > 0;) {
      whole.offset.push_back(below(5));
      whole.extent.push_back(1 + below(6));
    }
    const size_t last = whole.extent.size() - 1;
    const int64_t rows = num_elements(whole.extent) / whole.extent[last];
    const int64_t stride = whole.extent[last] + below(3);
    const Tensor storage =
        Tensor::allocate(context.allocator, {rows * stride}, DType::kInt32, MemoryCategory::kWorkspace);
    for (int64_t i = 0; i < rows * stride; ++i) storage.data<int32_t>()[i] = static_cast<int32_t>(i);
    const HeldTensor held =
        hold(whole, Tensor::view_of(storage.storage(), 0, whole.extent, DType::kInt32, stride));
    // One index of the first dimensions, a range of the next one, all of the others, a range of columns.
    Box part = whole;
    const auto narrow = [&](size_t dim, int64_t extent) {
      part.offset[dim] += below(whole.extent[dim] - extent + 1);
      part.extent[dim] = extent;
    };
    const size_t ranged = static_cast<size_t>(below(static_cast<int64_t>(last) + 1));
    for (size_t dim = 0; dim < ranged; ++dim) narrow(dim, 1);
    if (ranged < last) narrow(ranged, 1 + below(whole.extent[ranged]));
    narrow(last, 1 + below(whole.extent[last]));
    const Tensor view = part_of(held, part);
    EXPECT_EQ(view.shape(), part.extent);
    EXPECT_EQ(numbers_of(view), expected_numbers(held, part))
        << to_string(part) << " of " << to_string(whole);
  }
}

TEST(HeldTensors, APartWhoseRowsDoNotFollowOneAnotherIsOurBug) {
  Context context;
  const Tensor data =
      Tensor::allocate(context.allocator, {2, 3, 4}, DType::kInt32, MemoryCategory::kWorkspace);
  const HeldTensor held = hold({{0, 0, 0}, {2, 3, 4}}, data);
  EXPECT_THROW(part_of(held, {{0, 0, 0}, {2, 2, 4}}), InternalError);
}

}  // namespace
}  // namespace trireme::checkpoint
