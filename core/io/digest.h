#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

struct XXH3_state_s;

namespace trireme::io {

/// XXH3-128 (Collet 2020) of a stream of bytes: 32 lower-case hexadecimal digits, as `xxhsum -H2` prints
/// them. It finds damage; it is no protection against a forger.
class Digest {
 public:
  Digest();
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;

  void update(std::span<const std::byte> bytes);
  std::string hex() const;

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

std::string digest_of(std::span<const std::byte> bytes);
std::string digest_of(const std::string& text);

/// "0.8.1".
std::string xxhash_version();

}  // namespace trireme::io
