#include "core/base/philox.h"

#include <cmath>
#include <numbers>

namespace trireme {
namespace {

/// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): spreads every input bit.
uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

}  // namespace

RandomKey RandomKey::make(uint64_t seed, RandomPurpose purpose, uint64_t step, uint64_t site) {
  const uint64_t key = mix(mix(mix(mix(seed) ^ static_cast<uint64_t>(purpose)) ^ step) ^ site);
  return {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
}

std::array<double, 2> normal_from_bits(uint32_t bits0, uint32_t bits1) {
  const double radius = std::sqrt(-2.0 * std::log(uniform_from_bits(bits0)));
  const double angle = 2.0 * std::numbers::pi * uniform_from_bits(bits1);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

}  // namespace trireme
