#pragma once

#include <array>
#include <cstdint>

namespace trireme {

/// What a random number is for; part of its key, so that streams never meet.
enum class RandomPurpose : uint32_t {
  kInitialization = 1,
  kDropout = 2,
  kDataOrder = 3,
  kSampling = 4,
  kSynthetic = 5
};

/// The key of a counter-based stream. There is no random state: (key, counter) gives the number.
struct RandomKey {
  uint32_t low = 0;
  uint32_t high = 0;

  /// `site` is the logical place in the model (parameter or layer), the same in every layout.
  static RandomKey make(uint64_t seed, RandomPurpose purpose, uint64_t step, uint64_t site);
};

/// Counter made of logical coordinates, never of a linear index into a padded or split tensor.
using RandomCounter = std::array<uint32_t, 4>;

/// Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
inline std::array<uint32_t, 4> philox(RandomKey key, RandomCounter counter) {
  uint32_t key0 = key.low, key1 = key.high;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

/// Counter of four neighbouring features (4 * feature_block ...) of one token: dropout on activations.
inline RandomCounter activation_counter(int64_t sample, int64_t position, int64_t feature_block) {
  return {static_cast<uint32_t>(feature_block), static_cast<uint32_t>(position),
          static_cast<uint32_t>(sample), static_cast<uint32_t>(static_cast<uint64_t>(sample) >> 32)};
}

/// Counter of four neighbouring keys (4 * key_block ...) of one query: dropout on attention probabilities.
/// Samples below 2^48, heads below 2^16.
inline RandomCounter attention_counter(int64_t sample, int64_t head, int64_t query, int64_t key_block) {
  return {static_cast<uint32_t>(key_block), static_cast<uint32_t>(query), static_cast<uint32_t>(sample),
          static_cast<uint32_t>(static_cast<uint64_t>(sample) >> 32 << 16) | static_cast<uint32_t>(head)};
}

/// An element is dropped when its 32 random bits are below this. `probability` in [0, 1).
inline uint32_t dropout_threshold(double probability) {
  return static_cast<uint32_t>(probability * 4294967296.0);
}

/// Uniform in (0, 1], 32 bits.
inline double uniform_from_bits(uint32_t bits) {
  return (static_cast<double>(bits) + 1.0) * (1.0 / 4294967296.0);
}

/// Two standard normals from two words (Box and Muller, 1958).
std::array<double, 2> normal_from_bits(uint32_t bits0, uint32_t bits1);

}  // namespace trireme
