#include "core/io/digest.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <new>

#include "core/base/hash.h"

namespace trireme::io {

void Digest::Free::operator()(XXH3_state_s* state) const {
  XXH3_freeState(state);
}

Digest::Digest() : state_(XXH3_createState()) {
  if (state_ == nullptr) throw std::bad_alloc();
  XXH3_128bits_reset(state_.get());
}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::update(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
}

std::string Digest::hex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
  return fmt::format("{:016x}{:016x}", uint64_t{hash.high64}, uint64_t{hash.low64});
}

std::string digest_of(std::span<const std::byte> bytes) {
  return xxh3_128_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string digest_of(const std::string& text) {
  return xxh3_128_hex(text);
}

std::string xxhash_version() {
  const unsigned version = XXH_versionNumber();
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace trireme::io
