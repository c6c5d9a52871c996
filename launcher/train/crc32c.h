#pragma once

#include <cstdint>
#include <string_view>

namespace trireme {

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), as iSCSI and TFRecord use it.
uint32_t crc32c(std::string_view bytes);

/// TFRecord's masking: a checksum of data that holds checksums must not be one itself.
inline uint32_t masked_crc32c(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

}  // namespace trireme
