#pragma once

#include <cstdint>

namespace trireme {

/// How Megatron-LM stores tokens; the values are its codes. Its floating types hold no tokens.
enum class TokenDType : uint8_t { kUInt8 = 1, kInt8 = 2, kInt16 = 3, kInt32 = 4, kInt64 = 5, kUInt16 = 8 };

inline int64_t size_of(TokenDType dtype) {
  switch (dtype) {
    case TokenDType::kUInt8:
    case TokenDType::kInt8:
      return 1;
    case TokenDType::kInt16:
    case TokenDType::kUInt16:
      return 2;
    case TokenDType::kInt32:
      return 4;
    case TokenDType::kInt64:
      return 8;
  }
  return 0;  // no code of a token type
}

/// Megatron-LM's choice: uint16 where every id is below 65,500, else int32.
inline TokenDType smallest_token_dtype(int64_t vocab_size) {
  return vocab_size < 65500 ? TokenDType::kUInt16 : TokenDType::kInt32;
}

}  // namespace trireme
