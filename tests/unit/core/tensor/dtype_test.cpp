#include "core/tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/error.h"

namespace trireme {
namespace {

float from_bits(uint32_t word) {
  float value;
  std::memcpy(&value, &word, 4);
  return value;
}

/// Value of a half by the definition of IEEE 754.
double half_by_definition(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const double mantissa = bits & 1023;
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == 31) return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(Float16, EveryPatternHasItsDefinedValueAndSurvivesTheRoundTrip) {
  for (uint32_t pattern = 0; pattern < 65536; ++pattern) {
    float16 half;
    half.bits = static_cast<uint16_t>(pattern);
    const auto value = static_cast<float>(half);
    const double expected = half_by_definition(half.bits);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_TRUE(std::isnan(static_cast<float>(float16(value))));
      continue;
    }
    ASSERT_EQ(value, expected) << pattern;
    ASSERT_EQ(float16(value).bits, half.bits) << pattern;
  }
}

TEST(Float16, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t pattern = 0; pattern < 0x7BFF; ++pattern) {
    const double low = half_by_definition(static_cast<uint16_t>(pattern));
    const double high = half_by_definition(static_cast<uint16_t>(pattern + 1));
    const auto middle = static_cast<float>((low + high) / 2);
    const uint32_t even = pattern % 2 == 0 ? pattern : pattern + 1;
    ASSERT_EQ(float16(middle).bits, even) << pattern;
    ASSERT_EQ(float16(std::nextafter(middle, 1e9f)).bits, pattern + 1) << pattern;
    ASSERT_EQ(float16(std::nextafter(middle, -1e9f)).bits, pattern) << pattern;
    ASSERT_EQ(float16(-middle).bits, even | 0x8000u) << pattern;
  }
}

TEST(Float16, OverflowsToInfinityHalfAUnitAboveTheLargest) {
  EXPECT_EQ(float16(65504.0f).bits, 0x7BFF);
  EXPECT_EQ(float16(std::nextafter(65520.0f, 0.0f)).bits, 0x7BFF);
  EXPECT_EQ(float16(65520.0f).bits, 0x7C00);
  EXPECT_EQ(float16(-1e30f).bits, 0xFC00);
}

TEST(BFloat16, EveryPatternSurvivesTheRoundTrip) {
  for (uint32_t pattern = 0; pattern < 65536; ++pattern) {
    bfloat16 value;
    value.bits = static_cast<uint16_t>(pattern);
    const auto wide = static_cast<float>(value);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(wide))));
    } else {
      ASSERT_EQ(wide, from_bits(pattern << 16));
      ASSERT_EQ(bfloat16(wide).bits, value.bits);
    }
  }
}

TEST(BFloat16, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t pattern = 0; pattern < 0x7F7F; ++pattern) {
    const uint32_t even = pattern % 2 == 0 ? pattern : pattern + 1;
    ASSERT_EQ(bfloat16(from_bits(pattern << 16 | 0x8000u)).bits, even) << pattern;
    ASSERT_EQ(bfloat16(from_bits(pattern << 16 | 0x7FFFu)).bits, pattern) << pattern;
    ASSERT_EQ(bfloat16(from_bits(pattern << 16 | 0x8001u)).bits, pattern + 1) << pattern;
  }
}

TEST(BFloat16, KeepsNanWhoseUpperHalfIsInfinity) {
  EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(from_bits(0x7F800001u)))));
  EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(from_bits(0xFFFFFFFFu)))));
}

TEST(DType, NamesAndSizesFitTogether) {
  for (const DType dtype : {DType::kFloat64, DType::kFloat32, DType::kBFloat16, DType::kFloat16,
                            DType::kInt64, DType::kInt32, DType::kUInt16, DType::kUInt8})
    EXPECT_EQ(dtype_from_name(name_of(dtype)), dtype);
  EXPECT_EQ(size_of(DType::kBFloat16), 2);
  EXPECT_EQ(size_of(DType::kInt64), 8);
  EXPECT_TRUE(is_floating(DType::kFloat16));
  EXPECT_FALSE(is_floating(DType::kUInt16));
  EXPECT_THROW(dtype_from_name("float8"), ConfigError);
  EXPECT_THROW(dispatch_floating(DType::kInt32, [](auto) {}), ShapeError);
}

}  // namespace
}  // namespace trireme
