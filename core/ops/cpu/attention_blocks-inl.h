// The pieces that attention forward and backward share: small float32 matrix products on scratch memory,
// packing, masks and dropout. Compiled once per instruction set (see simd-inl.h).

#if defined(TRIREME_CORE_OPS_CPU_ATTENTION_BLOCKS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TRIREME_CORE_OPS_CPU_ATTENTION_BLOCKS_INL_H
#undef TRIREME_CORE_OPS_CPU_ATTENTION_BLOCKS_INL_H
#else
#define TRIREME_CORE_OPS_CPU_ATTENTION_BLOCKS_INL_H
#endif

#include "core/ops/cpu/attention_blocks.h"
#include "core/ops/cpu/philox-inl.h"
#include "core/ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

/// A left operand: element (row, k) at data[row * row_stride + k * col_stride].
struct LeftMatrix {
  const float* data;
  int64_t row_stride;
  int64_t col_stride;
};

inline constexpr int64_t kTileRows = 4;

/// c[4, V vectors] = (c +) a[4, depth] b[depth, V vectors], with the sums in registers.
template <int V>
HWY_INLINE void multiply_tile(const LeftMatrix& a, const float* HWY_RESTRICT b, int64_t b_stride,
                              int64_t depth, float* HWY_RESTRICT c, int64_t c_stride, bool accumulate) {
  const int64_t step = lanes();
  Floats sums[kTileRows][V];
  for (int i = 0; i < kTileRows; ++i)
    for (int v = 0; v < V; ++v) sums[i][v] = accumulate ? load(c + i * c_stride + v * step) : zero();
  const float* HWY_RESTRICT left = a.data;
  const int64_t row_stride = a.row_stride, col_stride = a.col_stride;
  for (int64_t k = 0; k < depth; ++k) {
    Floats right[V];
    for (int v = 0; v < V; ++v) right[v] = load(b + v * step);
    for (int i = 0; i < kTileRows; ++i) {
      const Floats factor = constant(left[i * row_stride]);
      for (int v = 0; v < V; ++v) sums[i][v] = hn::MulAdd(factor, right[v], sums[i][v]);
    }
    left += col_stride;
    b += b_stride;
  }
  for (int i = 0; i < kTileRows; ++i)
    for (int v = 0; v < V; ++v) store(sums[i][v], c + i * c_stride + v * step);
}

/// c[rows, cols] = (c +) a[rows, depth] b[depth, cols]; rows a multiple of 4, cols of kPadding.
HWY_INLINE void multiply_matrices(LeftMatrix a, const float* b, int64_t b_stride, int64_t depth, float* c,
                                  int64_t c_stride, int64_t rows, int64_t cols, bool accumulate) {
  constexpr int kWide = HWY_MAX_BYTES >= 64 ? 4 : 2;  // as many vectors as the registers hold
  const int64_t step = lanes();
  const float* first = a.data;
  int64_t col = 0;
  const auto columns = [&]<int V>(std::integral_constant<int, V>) HWY_ATTR {
    for (; col + V * step <= cols; col += V * step)
      for (int64_t row = 0; row < rows; row += kTileRows) {
        a.data = first + row * a.row_stride;
        multiply_tile<V>(a, b + col, b_stride, depth, c + row * c_stride + col, c_stride, accumulate);
      }
  };
  columns(std::integral_constant<int, kWide>());
  columns(std::integral_constant<int, 1>());
}

/// to[padded] = factor * from[count], zeros behind.
template <class T>
HWY_INLINE void copy_row(const T* from, int64_t count, float factor, float* to, int64_t padded) {
  for (int64_t col = count; col < padded; ++col) to[col] = 0.0f;
  for_each_vector(count, [&](auto load_at, auto store_at)
                             HWY_ATTR { store_at(hn::Mul(load_at(from), constant(factor)), to); });
}

/// Rows [begin, begin + count) of `tensor`, columns [col, col + head_dim), times `factor`, into rows of
/// padded_dim; zero rows up to `padded_rows`.
template <class T>
HWY_INLINE void copy_rows(const Tensor& tensor, int64_t begin, int64_t count, int64_t col, int64_t head_dim,
                          float factor, float* to, int64_t padded_dim, int64_t padded_rows) {
  for (int64_t row = 0; row < count; ++row)
    copy_row(tensor.row<T>(begin + row) + col, head_dim, factor, to + row * padded_dim, padded_dim);
  std::fill(to + count * padded_dim, to + padded_rows * padded_dim, 0.0f);
}

/// The reverse: writes factor * rows.
template <class T>
HWY_INLINE void write_row(const float* from, int64_t count, float factor, T* to) {
  for_each_vector(count, [&](auto load_at, auto store_at)
                             HWY_ATTR { store_at(hn::Mul(load_at(from), constant(factor)), to); });
}

/// rows [kBlockKeys, padded_dim] -> columns [padded_dim, kBlockKeys]; `buffer` holds 4 * padded_dim floats.
HWY_INLINE void transpose_block(const float* rows, int64_t padded_dim, float* columns, float* buffer) {
#if HWY_TARGET == HWY_SCALAR
  static_cast<void>(buffer);
  for (int64_t key = 0; key < kBlockKeys; ++key)
    for (int64_t k = 0; k < padded_dim; ++k) columns[k * kBlockKeys + key] = rows[key * padded_dim + k];
#else
  const FloatTag d;
  const hn::FixedTag<float, 4> four;
  for (int64_t key = 0; key < kBlockKeys; key += 4) {
    const float* from = rows + key * padded_dim;
    for (int64_t k = 0; k < padded_dim; k += lanes())
      hn::StoreInterleaved4(load(from + k), load(from + padded_dim + k), load(from + 2 * padded_dim + k),
                            load(from + 3 * padded_dim + k), d, buffer + 4 * k);
    for (int64_t k = 0; k < padded_dim; ++k)
      hn::StoreU(hn::LoadU(four, buffer + 4 * k), four, columns + k * kBlockKeys + key);
  }
#endif
}

/// The part [lo, hi) of a block of keys that one query sees, relative to the block.
struct Visible {
  int64_t lo = 0;
  int64_t hi = 0;
};

HWY_INLINE Visible visible_in_block(const KeyRange& keys, int64_t block_begin, int64_t cols) {
  return {std::clamp<int64_t>(keys.begin - block_begin, 0, cols),
          std::clamp<int64_t>(keys.end - block_begin, 0, cols)};
}

/// True in the lanes [lo, hi) of the vector that starts at column `col`.
HWY_INLINE auto visible_lanes(const Visible& visible, int64_t col) {
  const FloatTag d;
  const Floats index = hn::Iota(d, static_cast<float>(col));
  return hn::And(hn::Ge(index, constant(static_cast<float>(visible.lo))),
                 hn::Lt(index, constant(static_cast<float>(visible.hi))));
}

/// Dropout of one query's probabilities on the block of keys that starts at `block`: calls
/// body(col, factors) for each vector of [0, cols), with factor 0 for dropped keys, 1 / (1 - p) for kept
/// ones.
template <class Body>
HWY_INLINE void for_each_dropout_vector(const AttentionOptions& options, int64_t sample, int64_t head,
                                        int64_t query, int64_t block, int64_t cols, Body&& body) {
  const BitsTag d;
  const int64_t position = options.key_offset + block;
  const RandomCounter counter =
      attention_counter(options.sample_ids.data<int64_t>()[sample], options.head_offset + head,
                        query_position(options) + query, position / 4);
  const int64_t skipped = position % 4;  // words of the first counter that belong to the keys before
  uint32_t words[kBlockKeys + 4 * HWY_MAX_BYTES / sizeof(uint32_t)];
  for (int64_t word = 0; word < skipped + cols; word += 4 * lanes()) {
    philox_blocks(options.dropout_key, counter, static_cast<uint32_t>(word / 4), words + word);
  }
  const auto threshold = hn::Set(d, dropout_threshold(options.dropout));
  const Floats scale = constant(static_cast<float>(1.0 / (1.0 - options.dropout)));
  for (int64_t col = 0; col < cols; col += lanes()) {
    const auto dropped = hn::Lt(hn::LoadU(d, words + skipped + col), threshold);
    body(col, hn::IfThenZeroElse(hn::RebindMask(FloatTag(), dropped), scale));
  }
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
