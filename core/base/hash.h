#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trireme {

/// XXH3-128 (xxhash.com) as 32 hexadecimal digits, most significant first.
std::string xxh3_128_hex(std::string_view bytes);
uint64_t xxh3_64(std::string_view bytes);

}  // namespace trireme
