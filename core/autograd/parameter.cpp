#include "core/autograd/parameter.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/base/check.h"
#include "core/base/philox.h"
#include "core/ops/elementwise.h"

namespace trireme {
namespace {

using Kind = InitRule::Kind;
using Numbers = std::array<double, 4>;

/// Four random words for the elements [4 * block, 4 * block + 4) of a logical tensor.
std::array<uint32_t, 4> words_of(RandomKey key, int64_t block, uint32_t attempt) {
  return philox(key, {static_cast<uint32_t>(block), static_cast<uint32_t>(static_cast<uint64_t>(block) >> 32),
                      attempt, 0});
}

Numbers normal_numbers(RandomKey key, int64_t block, uint32_t attempt = 0) {
  const auto bits = words_of(key, block, attempt);
  const auto [first, second] = normal_from_bits(bits[0], bits[1]);
  const auto [third, fourth] = normal_from_bits(bits[2], bits[3]);
  return {first, second, third, fourth};
}

Numbers truncated_numbers(RandomKey key, int64_t block) {
  constexpr double kLargest = 2.0;
  Numbers numbers = normal_numbers(key, block);
  const auto too_large = [&](double number) { return std::abs(number) > kLargest; };
  for (uint32_t attempt = 1; std::any_of(numbers.begin(), numbers.end(), too_large); ++attempt) {
    const Numbers again = normal_numbers(key, block, attempt);
    for (size_t i = 0; i < numbers.size(); ++i)
      if (too_large(numbers[i])) numbers[i] = again[i];
  }
  return numbers;
}

/// In (-1, 1).
Numbers uniform_numbers(RandomKey key, int64_t block) {
  const auto bits = words_of(key, block, 0);
  Numbers numbers;
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = (bits[i] + 0.5) * 0x1p-31 - 1.0;
  return numbers;
}

Numbers numbers_of(Kind kind, RandomKey key, int64_t block) {
  if (kind == Kind::kTruncatedNormal) return truncated_numbers(key, block);
  return kind == Kind::kXavierUniform ? uniform_numbers(key, block) : normal_numbers(key, block);
}

/// What the numbers are multiplied by.
double factor_of(const InitRule& rule, const Shape& global_shape) {
  if (rule.kind != Kind::kXavierUniform) return rule.scale;
  TRIREME_ASSERT(global_shape.size() == 2, "Xavier's rule is for matrices");
  return rule.scale * std::sqrt(6.0 / static_cast<double>(global_shape[0] + global_shape[1]));
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
void fill_frequencies(const Shape& global_shape, const Shape& offset, const Tensor& target) {
  for (int64_t row = 0; row < target.rows(); ++row)
    for (int64_t col = 0; col < target.cols(); ++col)
      target.row<T>(row)[col] = rounded<T>(std::pow(
          1e4, -static_cast<double>(offset.back() + col) / static_cast<double>(global_shape.back())));
}

template <class T>
void draw(const Context& context, const InitRule& rule, RandomKey key, const Shape& global_shape,
          const Shape& offset, const Tensor& target) {
  const double factor = factor_of(rule, global_shape);
  TRIREME_ASSERT(offset.size() <= 2, "parameters have one or two dimensions");
  const int64_t row_offset = offset.size() > 1 ? offset[0] : 0;
#pragma omp parallel for num_threads(context.num_threads) if (target.num_elements() > 100000)
  for (int64_t row = 0; row < target.rows(); ++row) {
    T* values = target.row<T>(row);
    const int64_t first = (row_offset + row) * global_shape.back() + offset.back();
    Numbers numbers = numbers_of(rule.kind, key, first / 4);
    for (int64_t col = 0; col < target.cols(); ++col) {
      const int64_t element = first + col;
      if (element % 4 == 0) numbers = numbers_of(rule.kind, key, element / 4);
      values[col] = rounded<T>(factor * numbers[static_cast<size_t>(element % 4)]);
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
  if (rule.kind == Kind::kZeros || rule.kind == Kind::kOnes)
    return ops::fill(context, target, rule.kind == Kind::kOnes ? 1.0 : 0.0);
  const ParameterPiece& logical = parameter.pieces[piece];
  const RandomKey key = RandomKey::make(seed, RandomPurpose::kInitialization, 0, site_of(logical.name));
  dispatch_floating(target.dtype(), [&]<class T>(T) {
    rule.kind == Kind::kFrequencies ? fill_frequencies<T>(logical.global_shape, offset, target)
                                    : draw<T>(context, rule, key, logical.global_shape, offset, target);
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
