#include "core/optim/owned_boxes.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "core/nn/parameters.h"

namespace trireme {
namespace {

using Random = std::mt19937_64;

int64_t draw(Random& random, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}

/// Storage of one to three pieces of one to four dimensions, each a box of a larger tensor. Every other
/// matrix is wide enough for padded rows.
Parameter draw_parameter(Random& random) {
  Parameter parameter;
  const int64_t num_dims = draw(random, 1, 4), num_pieces = draw(random, 1, 3);
  Shape inner;
  for (int64_t dim = 1; dim < num_dims; ++dim) inner.push_back(draw(random, 1, 5));
  if (num_dims > 1 && draw(random, 0, 1) == 1) inner.back() = 256 + draw(random, 0, 3);
  parameter.name = "packed";
  parameter.shape = inner;
  parameter.shape.insert(parameter.shape.begin(), 0);
  for (int64_t i = 0; i < num_pieces; ++i) {
    ParameterPiece piece{"piece", {}, {}, inner, parameter.shape[0]};
    piece.extent.insert(piece.extent.begin(), draw(random, 0, 6));
    parameter.shape[0] += piece.extent[0];
    for (const int64_t extent : piece.extent) {
      piece.offset.push_back(draw(random, 0, 9));
      piece.global_shape.push_back(piece.offset.back() + extent + draw(random, 0, 9));
    }
    parameter.pieces.push_back(piece);
  }
  if (parameter.shape[0] == 0) return draw_parameter(random);
  return parameter;
}

std::vector<FlatRange> draw_owned(Random& random, int64_t count) {
  std::vector<FlatRange> owned;
  int64_t position = draw(random, 0, 3) == 0 ? draw(random, 0, count) : 0;
  while (position < count) {
    const int64_t end = std::min(count, position + draw(random, 1, std::max<int64_t>(1, count / 2)));
    append_range(owned, {position, end});
    position = end + draw(random, 1, std::max<int64_t>(1, count / 4));
  }
  return owned;
}

ParameterStore make_store(Context& context, const ParameterLayout& layout, std::vector<FlatRange> owned) {
  return ParameterStore(context, layout, std::move(owned), [&](int64_t bytes, MemoryCategory category) {
    return context.zeros({bytes}, DType::kUInt8, category).storage();
  });
}

/// Coordinates, in the piece, of its `element`-th number in row-major order.
Shape coordinates(const Shape& extent, int64_t element) {
  Shape place(extent.size());
  for (size_t dim = extent.size(); dim-- > 0; element /= extent[dim]) place[dim] = element % extent[dim];
  return place;
}

bool inside(const OwnedBox& box, const Shape& place) {
  for (size_t dim = 0; dim < place.size(); ++dim)
    if (place[dim] < box.offset[dim] || place[dim] >= box.offset[dim] + box.extent[dim]) return false;
  return true;
}

double number_at(const OwnedBox& box, const Shape& place) {
  int64_t row = 0;
  for (size_t dim = 0; dim + 1 < place.size(); ++dim)
    row = row * box.extent[dim] + place[dim] - box.offset[dim];
  return box.data.row<double>(row)[place.back() - box.offset.back()];
}

/// Each number of every piece is looked up by its flat position: in exactly one box when an owned range holds
/// it, in none otherwise, and the box's view shows the number itself.
void check(const ParameterStore& store, const Tensor& owned_flat) {
  for (size_t index = 0; index < store.parameters().size(); ++index) {
    const Parameter& parameter = *store.parameters()[index];
    for (size_t i = 0; i < parameter.pieces.size(); ++i) {
      const ParameterPiece& piece = parameter.pieces[i];
      const std::vector<OwnedBox> boxes = owned_boxes(store, owned_flat, index, i);
      size_t num_ranges = 0;
      for (const FlatRange& owned : store.owned())
        num_ranges += intersection(owned, store.layout().piece_range(index, i)).length() > 0;
      ASSERT_LE(boxes.size(), num_ranges * (2 * piece.extent.size() - 1));
      if (store.owns_all()) {
        ASSERT_LE(boxes.size(), 1u);
      }
      int64_t num_found = 0, num_in_boxes = 0;
      for (const OwnedBox& box : boxes) num_in_boxes += num_elements(box.extent);
      for (int64_t element = 0; element < num_elements(piece.extent); ++element) {
        const Shape local = coordinates(piece.extent, element);
        const int64_t inner = num_elements(piece.extent) / piece.extent[0];
        const int64_t stored = piece.storage_row * inner + element, cols = parameter.shape.back();
        const int64_t flat =
            store.offset(index) + stored / cols * store.layout().row_stride(index) + stored % cols;
        Shape global = local;
        for (size_t dim = 0; dim < global.size(); ++dim) global[dim] += piece.offset[dim];
        int64_t holders = 0, owned_begin = 0;
        for (const OwnedBox& box : boxes) holders += inside(box, global);
        bool owned_here = false;
        for (const FlatRange& owned : store.owned()) {
          if (flat >= owned.begin && flat < owned.end) {
            owned_here = true;
            for (const OwnedBox& box : boxes)
              if (inside(box, global)) {
                ASSERT_EQ(number_at(box, global), static_cast<double>(owned_begin + flat - owned.begin));
              }
          }
          owned_begin += owned.length();
        }
        ASSERT_EQ(holders, owned_here ? 1 : 0) << to_string(global);
        num_found += owned_here;
      }
      ASSERT_EQ(num_found, num_in_boxes);
    }
  }
}

TEST(OwnedBoxes, HoldExactlyTheOwnedNumbersOfEveryPiece) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    std::vector<std::unique_ptr<Parameter>> parameters;
    std::vector<Parameter*> pointers;
    for (int64_t i = draw(random, 1, 3); i > 0; --i) {
      parameters.push_back(std::make_unique<Parameter>(draw_parameter(random)));
      pointers.push_back(parameters.back().get());
    }
    Context context;
    PrecisionConfig precision;
    precision.dtype = seed % 2 == 0 ? Precision::kFp32 : Precision::kBf16;
    const ParameterLayout layout(pointers, precision);
    const std::vector<FlatRange> owned = seed % 5 == 0 ? std::vector<FlatRange>{{0, layout.num_elements()}}
                                                       : draw_owned(random, layout.num_elements());
    const ParameterStore store = make_store(context, layout, owned);
    Tensor numbers = context.workspace({store.num_owned()}, DType::kFloat64);
    for (int64_t i = 0; i < store.num_owned(); ++i) numbers.data<double>()[i] = static_cast<double>(i);
    check(store, numbers);
    if (HasFatalFailure()) return;
  }
}

TEST(OwnedBoxes, OfARangeInsideAMatrixArePartOfARowRowsAndPartOfARow) {
  Parameter matrix = nn::whole_parameter("m", {6, 10}, nn::zeros(), true);
  Context context;
  const ParameterLayout layout({&matrix}, {});
  const ParameterStore store = make_store(context, layout, {{13, 47}});
  const auto boxes =
      owned_boxes(store, context.zeros({34}, DType::kFloat32, MemoryCategory::kOptimizer), 0, 0);
  ASSERT_EQ(boxes.size(), 3u);
  EXPECT_EQ(boxes[0].offset, (Shape{1, 3}));
  EXPECT_EQ(boxes[0].extent, (Shape{1, 7}));
  EXPECT_EQ(boxes[1].offset, (Shape{2, 0}));
  EXPECT_EQ(boxes[1].extent, (Shape{2, 10}));
  EXPECT_EQ(boxes[2].offset, (Shape{4, 0}));
  EXPECT_EQ(boxes[2].extent, (Shape{1, 7}));
}

}  // namespace
}  // namespace trireme
