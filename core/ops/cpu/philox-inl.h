// Philox 4x32-10 over the lanes of a vector: the same words as trireme::philox, many counters at a time.

#if defined(TRIREME_CORE_OPS_CPU_PHILOX_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TRIREME_CORE_OPS_CPU_PHILOX_INL_H
#undef TRIREME_CORE_OPS_CPU_PHILOX_INL_H
#else
#define TRIREME_CORE_OPS_CPU_PHILOX_INL_H
#endif

#include "core/base/philox.h"
#include "core/ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR

using Words = hn::Vec<BitsTag>;

/// Both halves of the 64-bit products of all lanes.
HWY_INLINE void multiply(Words a, Words b, Words& high, Words& low) {
  const BitsTag d;
  const hn::RepartitionToWide<BitsTag> wide;
  const auto even = hn::MulEven(a, b);
  const auto odd = hn::MulEven(hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(wide, a))), b);
  high = hn::OddEven(hn::BitCast(d, odd), hn::BitCast(d, hn::ShiftRight<32>(even)));
  low = hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(odd)), hn::BitCast(d, even));
}

#endif

/// 4 * lanes() words: philox(key, counter) with counter[0] raised by skip, skip + 1, ..., skip + lanes() - 1.
HWY_INLINE void philox_blocks(RandomKey key, RandomCounter counter, uint32_t skip, uint32_t* words) {
#if HWY_TARGET == HWY_SCALAR
  counter[0] += skip;
  const auto block = philox(key, counter);
  std::memcpy(words, block.data(), sizeof(block));
#else
  const BitsTag d;
  Words c0 = hn::Iota(d, counter[0] + skip), c1 = hn::Set(d, counter[1]);
  Words c2 = hn::Set(d, counter[2]), c3 = hn::Set(d, counter[3]);
  for (int round = 0; round < 10; ++round) {
    Words high0, low0, high1, low1;
    multiply(c0, hn::Set(d, 0xD2511F53u), high0, low0);
    multiply(c2, hn::Set(d, 0xCD9E8D57u), high1, low1);
    c0 = hn::Xor(high1, hn::Xor(c1, hn::Set(d, key.low)));
    c1 = low1;
    c2 = hn::Xor(high0, hn::Xor(c3, hn::Set(d, key.high)));
    c3 = low0;
    key.low += 0x9E3779B9u;
    key.high += 0xBB67AE85u;
  }
  hn::StoreInterleaved4(c0, c1, c2, c3, d, words);
#endif
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
