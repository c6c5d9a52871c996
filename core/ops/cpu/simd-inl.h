// Shared SIMD pieces of the fast kernels: float32 vectors over float32, bfloat16 or float16 memory, and the
// few functions that attention, cross-entropy, activations and norms need. Compiled once per instruction set.
//
// A kernel file defines HWY_TARGET_INCLUDE to itself, includes hwy/foreach_target.h and then this header,
// puts its code into trireme::ops::cpu::HWY_NAMESPACE and exports entry points that work on a range of one
// thread. Threads (core/ops/cpu/parallel.h) stay outside.

#if defined(TRIREME_CORE_OPS_CPU_SIMD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TRIREME_CORE_OPS_CPU_SIMD_INL_H
#undef TRIREME_CORE_OPS_CPU_SIMD_INL_H
#else
#define TRIREME_CORE_OPS_CPU_SIMD_INL_H
#endif

#include <hwy/highway.h>

#include <cstring>

#include "core/base/check.h"
#include "core/tensor/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using BitsTag = hn::RebindToUnsigned<FloatTag>;
using HalfTag = hn::Rebind<uint16_t, FloatTag>;
using Floats = hn::Vec<FloatTag>;

/// Room for one vector on any target, in floats.
inline constexpr size_t kMaxLanes = HWY_MAX_BYTES / sizeof(float);

HWY_INLINE int64_t lanes() {
  return static_cast<int64_t>(hn::Lanes(FloatTag()));
}
HWY_INLINE Floats constant(float value) {
  return hn::Set(FloatTag(), value);
}
HWY_INLINE Floats zero() {
  return hn::Zero(FloatTag());
}

HWY_INLINE Floats load(const float* from) {
  return hn::LoadU(FloatTag(), from);
}

HWY_INLINE Floats load(const bfloat16* from) {
  const auto half = hn::LoadU(HalfTag(), reinterpret_cast<const uint16_t*>(from));
  return hn::BitCast(FloatTag(), hn::ShiftLeft<16>(hn::PromoteTo(BitsTag(), half)));
}

/// IEEE halves, one in the lower bits of each word -> floats, exactly. Integer arithmetic on every target:
/// few have an instruction for it that Highway 1.0 rounds like float16(float).
template <class D>
HWY_INLINE hn::Vec<D> from_half(D d, hn::Vec<hn::RebindToUnsigned<D>> half) {
  const hn::RebindToUnsigned<D> bits_tag;
  const auto magnitude = hn::ShiftLeft<13>(hn::And(half, hn::Set(bits_tag, 0x7FFFu)));
  const auto special = hn::Gt(magnitude, hn::Set(bits_tag, 0x7BFFu << 13));  // infinity or NaN
  const auto small = hn::Lt(magnitude, hn::Set(bits_tag, 0x0400u << 13));    // subnormal or zero
  const auto offset = hn::IfThenElse(special, hn::Set(bits_tag, 224u << 23), hn::Set(bits_tag, 112u << 23));
  const auto normal = hn::Add(magnitude, offset);
  const auto unit = hn::Set(bits_tag, 113u << 23);  // 2^-14, the smallest normal half
  const auto subnormal = hn::Sub(hn::BitCast(d, hn::Add(magnitude, unit)), hn::BitCast(d, unit));
  const auto result = hn::IfThenElse(small, hn::BitCast(bits_tag, subnormal), normal);
  return hn::BitCast(d, hn::Or(result, hn::ShiftLeft<16>(hn::And(half, hn::Set(bits_tag, 0x8000u)))));
}

HWY_INLINE Floats load(const float16* from) {
  const auto half = hn::LoadU(HalfTag(), reinterpret_cast<const uint16_t*>(from));
  return from_half(FloatTag(), hn::PromoteTo(BitsTag(), half));
}

HWY_INLINE void store(Floats value, float* to) {
  hn::StoreU(value, FloatTag(), to);
}

/// The lower half of each word.
HWY_INLINE void store_lower_halves(hn::Vec<BitsTag> words, void* to) {
  const hn::RebindToSigned<BitsTag> signed_tag;
  hn::StoreU(hn::DemoteTo(HalfTag(), hn::BitCast(signed_tag, words)), HalfTag(), static_cast<uint16_t*>(to));
}

/// Rounds to nearest even, NaN stays NaN: the same bits as bfloat16(float).
HWY_INLINE void store(Floats value, bfloat16* to) {
  const BitsTag bits_tag;
  const auto bits = hn::BitCast(bits_tag, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(bits_tag, 1u));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(bits_tag, 0x7FFFu)));
  const auto quiet = hn::Or(bits, hn::Set(bits_tag, 0x400000u));
  const auto is_nan = hn::RebindMask(bits_tag, hn::IsNaN(value));
  store_lower_halves(hn::ShiftRight<16>(hn::IfThenElse(is_nan, quiet, rounded)), to);
}

/// Rounds to nearest even: the same bits as float16(float).
HWY_INLINE void store(Floats value, float16* to) {
  const BitsTag bits_tag;
  const auto bits = hn::BitCast(bits_tag, value);
  const auto magnitude = hn::And(bits, hn::Set(bits_tag, 0x7FFFFFFFu));
  const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(bits_tag, 1u));
  const auto rounded = hn::Add(magnitude, hn::Add(odd, hn::Set(bits_tag, 0xFFFu)));
  const auto normal = hn::ShiftRight<13>(hn::Sub(rounded, hn::Set(bits_tag, 112u << 23)));
  // Subnormal: the float adder rounds to the right bit.
  const auto shifted = hn::Add(hn::BitCast(FloatTag(), magnitude), constant(0.5f));
  const auto subnormal = hn::Sub(hn::BitCast(bits_tag, shifted), hn::Set(bits_tag, 0x3F000000u));
  auto half = hn::IfThenElse(hn::Lt(magnitude, hn::Set(bits_tag, 113u << 23)), subnormal, normal);
  const auto overflows = hn::Gt(magnitude, hn::Set(bits_tag, 0x477FEFFFu));  // 65520 and above
  half = hn::IfThenElse(overflows, hn::Set(bits_tag, 0x7C00u), half);
  const auto is_nan = hn::Gt(magnitude, hn::Set(bits_tag, 0x7F800000u));
  half = hn::IfThenElse(is_nan, hn::Set(bits_tag, 0x7E00u), half);
  const auto sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(bits_tag, 0x8000u));
  store_lower_halves(hn::Or(half, sign), to);
}

/// The first `count` < lanes() elements, zeros behind them; touches no memory beyond.
template <class T>
HWY_INLINE Floats load_part(const T* from, int64_t count) {
  T buffer[kMaxLanes] = {};
  std::memcpy(buffer, from, static_cast<size_t>(count) * sizeof(T));
  return load(buffer);
}

template <class T>
HWY_INLINE void store_part(Floats value, T* to, int64_t count) {
  T buffer[kMaxLanes];
  store(value, buffer);
  std::memcpy(to, buffer, static_cast<size_t>(count) * sizeof(T));
}

/// Calls body(load_at, store_at) for every vector of [0, length). load_at(pointer) and
/// store_at(vector, pointer) work at pointer + offset; they are partial in the last vector, where lanes
/// beyond the end read as zero.
template <class Body>
HWY_INLINE void for_each_vector(int64_t length, Body&& body) {
  const int64_t step = lanes();
  int64_t offset = 0;
  for (; offset + step <= length; offset += step)
    body([offset](const auto* from) HWY_ATTR { return load(from + offset); },
         [offset](Floats value, auto* to) HWY_ATTR { store(value, to + offset); });
  if (const int64_t rest = length - offset; rest > 0)
    body([offset, rest](const auto* from) HWY_ATTR { return load_part(from + offset, rest); },
         [offset, rest](Floats value, auto* to) HWY_ATTR { store_part(value, to + offset, rest); });
}

/// Sum over [0, length) of the lanes of term(load_at), in an order that `length` alone decides.
template <class Term>
HWY_INLINE float sum_over(int64_t length, Term&& term) {
  const int64_t step = lanes();
  const auto term_at = [&](int64_t offset) HWY_ATTR {
    return term([offset](const auto* from) HWY_ATTR { return load(from + offset); });
  };
  Floats total0 = zero(), total1 = zero();  // two chains hide the latency of the adder
  int64_t offset = 0;
  for (; offset + 2 * step <= length; offset += 2 * step) {
    total0 = hn::Add(total0, term_at(offset));
    total1 = hn::Add(total1, term_at(offset + step));
  }
  for (; offset + step <= length; offset += step) total0 = hn::Add(total0, term_at(offset));
  if (const int64_t rest = length - offset; rest > 0) {
    const Floats last =
        term([offset, rest](const auto* from) HWY_ATTR { return load_part(from + offset, rest); });
    const auto valid = hn::FirstN(FloatTag(), static_cast<size_t>(rest));
    total1 = hn::Add(total1, hn::IfThenElseZero(valid, last));
  }
  return hn::GetLane(hn::SumOfLanes(FloatTag(), hn::Add(total0, total1)));
}

HWY_INLINE float sum_of_lanes(Floats v) {
  return hn::GetLane(hn::SumOfLanes(FloatTag(), v));
}
HWY_INLINE float max_of_lanes(Floats v) {
  return hn::GetLane(hn::MaxOfLanes(FloatTag(), v));
}

/// e^x within 2 units in the last place; 0 below -104, infinity above 88.73, NaN stays NaN. Reduction to
/// |r| <= ln(2)/2 and a minimax polynomial of e^r = 1 + r + r^2 P(r) (relative error 3e-9 before rounding).
HWY_INLINE Floats exp(Floats x) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> di;
  x = hn::Max(constant(-105.0f), hn::Min(constant(89.0f), x));  // in this order NaN passes
  const auto n = hn::NearestInt(hn::Mul(x, constant(1.44269504f)));
  const Floats nf = hn::ConvertTo(d, n);
  Floats r = hn::NegMulAdd(nf, constant(0.693359375f), x);
  r = hn::NegMulAdd(nf, constant(-2.12194440e-4f), r);
  Floats p = constant(0.001381422160193324f);
  p = hn::MulAdd(p, r, constant(0.00836889911442995f));
  p = hn::MulAdd(p, r, constant(0.04166840389370918f));
  p = hn::MulAdd(p, r, constant(0.1666651964187622f));
  p = hn::MulAdd(p, r, constant(0.4999999403953552f));
  p = hn::Add(hn::MulAdd(hn::Mul(r, r), p, r), constant(1.0f));
  // 2^n in two factors: each is a normal number although 2^n may be subnormal or 2^128.
  const auto half = hn::ShiftRight<1>(n);
  const auto power = [&](auto exponent) HWY_ATTR {
    return hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(exponent, hn::Set(di, 127))));
  };
  return hn::Mul(hn::Mul(p, power(half)), power(hn::Sub(n, half)));
}

/// 1 / (1 + e^-x).
HWY_INLINE Floats sigmoid(Floats x) {
  return hn::Div(constant(1.0f), hn::Add(constant(1.0f), exp(hn::Neg(x))));
}

/// tanh x = 1 - 2 / (1 + e^2|x|) with the sign of x; near zero, where that cancels, x + x^3 P(x^2) with a
/// minimax polynomial fitted here (relative error 4.4e-9 before rounding).
HWY_INLINE Floats tanh(Floats x) {
  const Floats magnitude = hn::Abs(x), square = hn::Mul(x, x);
  Floats p = constant(-0.005704984616712179f);
  p = hn::MulAdd(p, square, constant(0.02063908488322913f));
  p = hn::MulAdd(p, square, constant(-0.05373971426631152f));
  p = hn::MulAdd(p, square, constant(0.13331442186718073f));
  p = hn::MulAdd(p, square, constant(-0.3333328194149229f));
  const Floats near = hn::MulAdd(hn::Mul(x, square), p, x);
  const Floats e = exp(hn::Add(magnitude, magnitude));
  const Floats far = hn::Sub(constant(1.0f), hn::Div(constant(2.0f), hn::Add(constant(1.0f), e)));
  return hn::IfThenElse(hn::Lt(magnitude, constant(0.625f)), near, hn::CopySign(far, x));
}

/// The normal distribution function Phi(x) = (1 + erf(x / sqrt 2)) / 2; `density_root` receives e^(-x^2/2).
/// Phi(-|x|) = e^(-x^2/2) t Q(t) with t = 1 / (1 + 0.265 |x|), the form of Hastings 1955 (Abramowitz and
/// Stegun 7.1.26); Q is a minimax polynomial fitted here, relative error 1.1e-8 before rounding.
HWY_INLINE Floats normal_distribution(Floats x, Floats& density_root) {
  const Floats magnitude = hn::Abs(x);
  const Floats t = hn::Div(constant(1.0f), hn::MulAdd(magnitude, constant(0.265f), constant(1.0f)));
  density_root = exp(hn::Mul(hn::Mul(x, x), constant(-0.5f)));
  Floats q = constant(0.030912823975086212f);
  q = hn::MulAdd(q, t, constant(-0.14466316998004913f));
  q = hn::MulAdd(q, t, constant(0.21868862211704254f));
  q = hn::MulAdd(q, t, constant(-0.11733678728342056f));
  q = hn::MulAdd(q, t, constant(0.13861066102981567f));
  q = hn::MulAdd(q, t, constant(0.060038525611162186f));
  q = hn::MulAdd(q, t, constant(0.1027701273560524f));
  q = hn::MulAdd(q, t, constant(0.10523707419633865f));
  q = hn::MulAdd(q, t, constant(0.10574212670326233f));
  const Floats tail = hn::Mul(density_root, hn::Mul(t, q));
  return hn::IfThenElse(hn::Lt(x, zero()), tail, hn::Sub(constant(1.0f), tail));
}

/// Calls body(T{}) with T = float, bfloat16 or float16, the types in which the fast kernels store.
template <class Body>
HWY_INLINE void dispatch_storage(DType dtype, Body&& body) {
  if (dtype == DType::kFloat32) return body(float{});
  if (dtype == DType::kBFloat16) return body(bfloat16{});
  TRIREME_ASSERT(dtype == DType::kFloat16, "fast kernels take float32, bfloat16 and float16");
  body(float16{});
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
