#include "core/tensor/dtype.h"

#include <array>

#include "core/base/error.h"

namespace trireme {
namespace {

struct DTypeRow {
  DType dtype;
  const char* name;
  int64_t size;
  bool floating;
};

constexpr std::array<DTypeRow, 8> kTable = {{{DType::kFloat64, "float64", 8, true},
                                             {DType::kFloat32, "float32", 4, true},
                                             {DType::kBFloat16, "bfloat16", 2, true},
                                             {DType::kFloat16, "float16", 2, true},
                                             {DType::kInt64, "int64", 8, false},
                                             {DType::kInt32, "int32", 4, false},
                                             {DType::kUInt16, "uint16", 2, false},
                                             {DType::kUInt8, "uint8", 1, false}}};

const DTypeRow& row(DType dtype) {
  return kTable[static_cast<size_t>(dtype)];
}

}  // namespace

int64_t size_of(DType dtype) {
  return row(dtype).size;
}
const char* name_of(DType dtype) {
  return row(dtype).name;
}
bool is_floating(DType dtype) {
  return row(dtype).floating;
}

DType dtype_from_name(const std::string& name) {
  for (const DTypeRow& candidate : kTable)
    if (name == candidate.name) return candidate.dtype;
  throw ConfigError("unknown type '" + name +
                    "'; known: float64, float32, bfloat16, float16, int64, int32, uint16, uint8");
}

float16::float16(float value) {
  uint32_t word;
  std::memcpy(&word, &value, 4);
  const uint32_t sign = (word >> 16) & 0x8000u;
  const uint32_t magnitude = word & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) {  // NaN
    bits = static_cast<uint16_t>(sign | 0x7E00u);
  } else if (magnitude >= 0x477FF000u) {  // rounds to 65536 or above
    bits = static_cast<uint16_t>(sign | 0x7C00u);
  } else if (magnitude < 0x38800000u) {  // subnormal: the float adder rounds to the right bit
    float absolute;
    std::memcpy(&absolute, &magnitude, 4);
    absolute += 0.5f;
    uint32_t rounded;
    std::memcpy(&rounded, &absolute, 4);
    bits = static_cast<uint16_t>(sign | (rounded - 0x3F000000u));
  } else {
    const uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
    bits = static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
  }
}

float16::operator float() const {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t exponent = (bits >> 10) & 0x1Fu;
  const uint32_t mantissa = bits & 0x3FFu;
  uint32_t word;
  if (exponent == 0x1Fu) {
    word = sign | 0x7F800000u | (mantissa << 13);
  } else if (exponent != 0) {
    word = sign | ((exponent + 112u) << 23) | (mantissa << 13);
  } else {
    const float absolute = static_cast<float>(mantissa) * 5.9604644775390625e-8f;  // 2^-24
    std::memcpy(&word, &absolute, 4);
    word |= sign;
  }
  float value;
  std::memcpy(&value, &word, 4);
  return value;
}

}  // namespace trireme
