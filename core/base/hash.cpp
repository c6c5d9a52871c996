#include "core/base/hash.h"

#include <fmt/format.h>
#include <xxhash.h>

namespace trireme {

std::string xxh3_128_hex(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return fmt::format("{:016x}{:016x}", uint64_t{hash.high64}, uint64_t{hash.low64});
}

uint64_t xxh3_64(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace trireme
