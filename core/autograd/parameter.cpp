#include "core/autograd/parameter.h"

#include <algorithm>
#include <array>

#include "core/base/check.h"
#include "core/base/philox.h"
#include "core/ops/elementwise.h"

namespace trireme {
namespace {

/// The four normal numbers of elements [4 * block, 4 * block + 4) of a logical tensor.
std::array<double, 4> normal_block(RandomKey key, int64_t block) {
  const auto bits = philox(
      key, {static_cast<uint32_t>(block), static_cast<uint32_t>(static_cast<uint64_t>(block) >> 32), 0, 0});
  const auto [first, second] = normal_from_bits(bits[0], bits[1]);
  const auto [third, fourth] = normal_from_bits(bits[2], bits[3]);
  return {first, second, third, fourth};
}

/// A number drawn in float64, in a type of a parameter.
template <class T>
T rounded(double value) {
  if constexpr (std::is_same_v<T, double>) {
    return value;
  } else {
    return static_cast<T>(static_cast<float>(value));
  }
}

template <class T>
void draw_normal(const Context& context, double std, RandomKey key, int64_t global_cols, const Shape& offset,
                 const Tensor& target) {
  TRIREME_ASSERT(offset.size() <= 2, "parameters have one or two dimensions");
  const int64_t row_offset = offset.size() > 1 ? offset[0] : 0;
#pragma omp parallel for num_threads(context.num_threads) if (target.num_elements() > 100000)
  for (int64_t row = 0; row < target.rows(); ++row) {
    T* values = target.row<T>(row);
    const int64_t first = (row_offset + row) * global_cols + offset.back();
    std::array<double, 4> normals = normal_block(key, first / 4);
    for (int64_t col = 0; col < target.cols(); ++col) {
      const int64_t element = first + col;
      if (element % 4 == 0) normals = normal_block(key, element / 4);
      values[col] = rounded<T>(std * normals[static_cast<size_t>(element % 4)]);
    }
  }
}

}  // namespace

bool ParameterPiece::partial_gradient() const {
  return std::any_of(placement.begin(), placement.end(),
                     [](const auto& entry) { return entry.second.partial_gradient(); });
}

bool Parameter::has_partial_gradient() const {
  return std::any_of(pieces.begin(), pieces.end(),
                     [](const ParameterPiece& piece) { return piece.partial_gradient(); });
}

Tensor Parameter::piece(const Tensor& tensor, size_t index) const {
  const ParameterPiece& piece = pieces[index];
  return tensor.slice(0, piece.storage_row, piece.extent[0]);
}

void Parameter::contribute(const std::function<void(Tensor& gradient, bool accumulate)>& add) {
  TRIREME_ASSERT(gradient.defined(), "parameter " + name + " has no gradient buffer");
  add(gradient, has_gradient_);
  has_gradient_ = true;
  release();
}

void Parameter::release() {
  TRIREME_ASSERT(expected_ > 0, "parameter " + name + " got a gradient that no Function announced");
  if (--expected_ == 0 && on_ready) on_ready(*this);
}

uint64_t site_of(const std::string& name) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

void draw_initial(Context& context, const Parameter& parameter, size_t piece, const Shape& offset,
                  Tensor target, uint64_t seed) {
  const InitRule& rule = parameter.init;
  if (rule.kind != InitRule::Kind::kNormal)
    return ops::fill(context, target, rule.kind == InitRule::Kind::kOnes ? 1.0 : 0.0);
  const ParameterPiece& logical = parameter.pieces[piece];
  const RandomKey key = RandomKey::make(seed, RandomPurpose::kInitialization, 0, site_of(logical.name));
  dispatch_floating(target.dtype(), [&]<class T>(T) {
    draw_normal<T>(context, rule.std, key, logical.global_shape.back(), offset, target);
  });
}

void initialize(Context& context, Parameter& parameter, uint64_t seed) {
  const Tensor& drawn = parameter.master.defined() ? parameter.master : parameter.value;
  for (size_t i = 0; i < parameter.pieces.size(); ++i)
    draw_initial(context, parameter, i, parameter.pieces[i].offset, parameter.piece(drawn, i), seed);
  if (parameter.value.dtype() != drawn.dtype()) ops::cast(context, drawn, parameter.value);
  ++parameter.version;
}

}  // namespace trireme
