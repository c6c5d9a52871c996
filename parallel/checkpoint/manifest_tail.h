#pragma once

#include <string>

namespace trireme::checkpoint {

inline constexpr const char* kFormatName = "trireme-checkpoint";

/// A manifest is <body><kBeforeDigest><digest_tail(digest of body and kBeforeDigest)>, byte for byte.
inline constexpr const char* kBeforeDigest = ",\n \"manifest_digest\": ";
inline std::string digest_tail(const std::string& digest) {
  return "\"" + digest + "\"\n}\n";
}

}  // namespace trireme::checkpoint
