#pragma once

#include <cstdint>

namespace trireme {

/// The head of an .idx file: magic, uint64 version, uint8 dtype, uint64 sequences, uint64 document bounds.
inline constexpr char kIndexMagic[9] = {'M', 'M', 'I', 'D', 'I', 'D', 'X', '\0', '\0'};
inline constexpr uint64_t kIndexVersion = 1;
inline constexpr int64_t kIndexHeaderSize = 34;

}  // namespace trireme
