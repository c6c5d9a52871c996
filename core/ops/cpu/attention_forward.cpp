#include <omp.h>

#include <array>
#include <cmath>
#include <limits>

#include "core/ops/cpu/attention.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/attention_forward.cpp"
#include <hwy/foreach_target.h>

#include "core/ops/cpu/attention_blocks-inl.h"

#ifndef TRIREME_CORE_OPS_CPU_ATTENTION_FORWARD_ONCE
#define TRIREME_CORE_OPS_CPU_ATTENTION_FORWARD_ONCE
namespace trireme::ops::cpu {

/// At most kTaskRows queries of one head.
struct ForwardTask {
  int64_t sample, head, query_begin, num_queries;
};

/// A task's memory. The running maximum, sum and output of a query are those of Dao et al. 2022, algorithm 1.
struct ForwardScratch {
  ForwardScratch(const AttentionCall& call, float* start) : memory(start) {
    const int64_t dim = call.padded_dim();
    q = memory.take(kTaskRows * dim);
    out = memory.take(kTaskRows * dim);
    maximum = memory.take(kTaskRows);
    sums = memory.take(kTaskRows * kPadding);
    keys = memory.take(kBlockKeys * dim);
    values = memory.take(kBlockKeys * dim);
    keys_transposed = memory.take(kBlockKeys * dim);
    buffer = memory.take(4 * dim);
    scores = memory.take(kStripRows * kBlockKeys);
  }
  Scratch memory;
  float *q, *out;         ///< [kTaskRows, dim]
  float *maximum, *sums;  ///< [kTaskRows], [kTaskRows, a vector of partial sums]
  float *keys, *values;   ///< [kBlockKeys, dim]
  float *keys_transposed, *buffer, *scores;
};

}  // namespace trireme::ops::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

/// One query's scores on one block become exp(score - maximum); the running maximum and sum move along, the
/// output so far shrinks to the new maximum.
HWY_INLINE void update_row(float* scores, int64_t cols, const Visible& visible, float& maximum, float* sums,
                           float* out, int64_t dim) {
  const int64_t step = lanes();
  if (visible.lo > 0 || visible.hi < cols)
    for (int64_t col = 0; col < cols; col += step)
      store(hn::IfThenElse(visible_lanes(visible, col), load(scores + col), constant(kNothing)),
            scores + col);

  Floats largest = constant(maximum);
  for (int64_t col = 0; col < cols; col += step) largest = hn::Max(largest, load(scores + col));
  const float new_maximum = max_of_lanes(largest);
  const float shift = new_maximum == kNothing ? 0.0f : new_maximum;

  Floats sum = load(sums);
  if (new_maximum != maximum) {
    const Floats shrink = constant(std::exp(maximum - shift));
    sum = hn::Mul(sum, shrink);
    for (int64_t col = 0; col < dim; col += step) store(hn::Mul(load(out + col), shrink), out + col);
    maximum = new_maximum;
  }
  for (int64_t col = 0; col < cols; col += step) {
    const Floats weight = exp(hn::Sub(load(scores + col), constant(shift)));
    sum = hn::Add(sum, weight);
    store(weight, scores + col);
  }
  store(sum, sums);
}

template <class T>
void forward_task(const AttentionCall& call, const ForwardTask& task, const Tensor& q, const Tensor& k,
                  const Tensor& v, Tensor& out, float* log_sum_exp, ForwardScratch& scratch) {
  const int64_t dim = call.shape.head_dim, padded_dim = call.padded_dim();
  const int64_t q_col = task.head * dim, k_col = task.head / call.heads_per_group() * dim;
  const int64_t num_rows = round_up(task.num_queries, kTileRows);
  copy_rows<T>(q, call.query_row(task.sample, task.query_begin), task.num_queries, q_col, dim,
               static_cast<float>(call.options.scale), scratch.q, padded_dim, num_rows);
  std::fill(scratch.out, scratch.out + num_rows * padded_dim, 0.0f);
  std::fill(scratch.maximum, scratch.maximum + num_rows, kNothing);
  std::fill(scratch.sums, scratch.sums + num_rows * kPadding, 0.0f);
  std::array<KeyRange, kTaskRows> ranges{};
  for (int64_t row = 0; row < task.num_queries; ++row)
    ranges[row] = visible_keys(call.shape, call.options.mask, task.sample, task.query_begin + row);

  const int64_t query_end = task.query_begin + task.num_queries;
  const KeyRange task_keys = visible_to_any(call, task.sample, task.query_begin, query_end);
  for (int64_t block = task_keys.begin / kBlockKeys * kBlockKeys; block < task_keys.end;
       block += kBlockKeys) {
    const int64_t num_keys = std::min(kBlockKeys, task_keys.end - block);
    const int64_t key_row = call.key_row(task.sample, block);
    copy_rows<T>(k, key_row, num_keys, k_col, dim, 1.0f, scratch.keys, padded_dim, kBlockKeys);
    transpose_block(scratch.keys, padded_dim, scratch.keys_transposed, scratch.buffer);
    copy_rows<T>(v, key_row, num_keys, k_col, dim, 1.0f, scratch.values, padded_dim, kBlockKeys);

    for (int64_t strip = 0; strip < task.num_queries; strip += kStripRows) {
      const int64_t strip_end = std::min(task.num_queries, strip + kStripRows);
      const KeyRange keys =
          visible_to_any(call, task.sample, task.query_begin + strip, task.query_begin + strip_end);
      if (keys.begin >= block + kBlockKeys || keys.end <= block) continue;
      const int64_t rows = round_up(strip_end - strip, kTileRows);
      const int64_t cols = round_up(std::min(kBlockKeys, keys.end - block), kPadding);
      multiply_matrices({scratch.q + strip * padded_dim, padded_dim, 1}, scratch.keys_transposed, kBlockKeys,
                        dim, scratch.scores, kBlockKeys, rows, cols, false);
      for (int64_t row = strip; row < strip + rows; ++row) {
        float* scores = scratch.scores + (row - strip) * kBlockKeys;
        const Visible visible = visible_in_block(ranges[row], block, cols);
        update_row(scores, cols, visible, scratch.maximum[row], scratch.sums + row * kPadding,
                   scratch.out + row * padded_dim, padded_dim);
        if (call.options.dropout > 0.0 && row < task.num_queries)
          for_each_dropout_vector(call.options, task.sample, task.head, task.query_begin + row, block, cols,
                                  [&](int64_t col, Floats factor)
                                      HWY_ATTR { store(hn::Mul(load(scores + col), factor), scores + col); });
      }
      multiply_matrices({scratch.scores, kBlockKeys, 1}, scratch.values, padded_dim, cols,
                        scratch.out + strip * padded_dim, padded_dim, rows, padded_dim, true);
    }
  }

  for (int64_t row = 0; row < task.num_queries; ++row) {
    const int64_t query = task.query_begin + row;
    const float sum = sum_of_lanes(load(scratch.sums + row * kPadding));
    T* to = out.row<T>(call.query_row(task.sample, query)) + q_col;
    write_row(scratch.out + row * padded_dim, dim, ranges[row].empty() ? 0.0f : 1.0f / sum, to);
    log_sum_exp[call.log_sum_exp_index(task.sample, task.head, query)] = scratch.maximum[row] + std::log(sum);
  }
}

void run_forward_task(const AttentionCall& call, const ForwardTask& task, const Tensor& q, const Tensor& k,
                      const Tensor& v, Tensor& out, float* log_sum_exp, ForwardScratch& scratch) {
  dispatch_storage(q.dtype(), [&]<class T>(T) HWY_ATTR {
    forward_task<T>(call, task, q, k, v, out, log_sum_exp, scratch);
  });
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::ops::cpu {

HWY_EXPORT(run_forward_task);

void attention_forward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                       const Tensor& q, const Tensor& k, const Tensor& v, Tensor& out, Tensor& log_sum_exp) {
  const AttentionCall call{shape, options};
  const int64_t tasks_per_head = (shape.query_length + kTaskRows - 1) / kTaskRows;
  const int64_t num_tasks = tasks_per_head * shape.num_samples * shape.num_heads;
  const int num_threads = static_cast<int>(std::min<int64_t>(context.num_threads, num_tasks));
  const int64_t scratch_size = ForwardScratch(call, nullptr).memory.used();
  Tensor memory = context.workspace({num_threads, scratch_size}, DType::kFloat32);

  // Tasks share nothing, so who runs one does not change its result. The last queries, which see most under
  // a causal mask, go first.
#pragma omp parallel num_threads(num_threads)
  {
    ForwardScratch scratch(call, memory.row<float>(omp_get_thread_num()));
#pragma omp for schedule(dynamic, 1)
    for (int64_t index = num_tasks - 1; index >= 0; --index) {
      const int64_t pair = index % (shape.num_samples * shape.num_heads);
      const int64_t begin = index / (shape.num_samples * shape.num_heads) * kTaskRows;
      const ForwardTask task{pair / shape.num_heads, pair % shape.num_heads, begin,
                             std::min(kTaskRows, shape.query_length - begin)};
      HWY_DYNAMIC_DISPATCH(run_forward_task)
      (call, task, q, k, v, out, log_sum_exp.data<float>(), scratch);
    }
  }
}

}  // namespace trireme::ops::cpu
#endif
