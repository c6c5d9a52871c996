#include <omp.h>

#include <limits>
#include <vector>

#include "core/ops/cpu/attention.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/attention_backward.cpp"
#include <hwy/foreach_target.h>

#include "core/ops/cpu/attention_blocks-inl.h"

#ifndef TRIREME_CORE_OPS_CPU_ATTENTION_BACKWARD_ONCE
#define TRIREME_CORE_OPS_CPU_ATTENTION_BACKWARD_ONCE
namespace trireme::ops::cpu {

/// Gradients of some queries of some heads of one group against some keys. A task writes the gradient of the
/// queries when it has all their keys, of the keys when it has all their queries and heads.
struct BackwardTask {
  int64_t sample;
  int64_t head_begin, head_end;
  int64_t query_begin, query_end;  ///< begins at a multiple of kStripRows
  int64_t key_begin, key_end;      ///< begins at a multiple of kBlockKeys
  bool writes_queries, writes_keys;

  int64_t padded_queries() const { return round_up(query_end - query_begin, kStripRows); }
  int64_t padded_keys() const { return round_up(key_end - key_begin, kBlockKeys); }
};

/// A task's memory; matrices have rows of padded_dim.
struct BackwardScratch {
  BackwardScratch(const AttentionCall& call, const BackwardTask& task, float* start) : memory(start) {
    const int64_t dim = call.padded_dim(), queries = task.padded_queries(), keys = task.padded_keys();
    q = memory.take(queries * dim);
    d_out = memory.take(queries * dim);
    d_q = memory.take(task.writes_queries ? queries * dim : 0);
    d_k = memory.take(task.writes_keys ? keys * dim : 0);
    d_v = memory.take(task.writes_keys ? keys * dim : 0);
    log_sum_exp = memory.take(queries);
    delta = memory.take(queries);
    block = memory.take(kBlockKeys * dim);
    keys_transposed = memory.take(kBlockKeys * dim);
    values_transposed = memory.take(kBlockKeys * dim);
    buffer = memory.take(4 * dim);
    probabilities = memory.take(kStripRows * kBlockKeys);
    d_scores = memory.take(kStripRows * kBlockKeys);
  }
  Scratch memory;
  float *q, *d_out, *d_q;      ///< of all queries of the task; q is multiplied by the scale
  float *d_k, *d_v;            ///< of all keys of the task
  float *log_sum_exp, *delta;  ///< one per query; delta = sum(d_out * out)
  float *block, *keys_transposed, *values_transposed, *buffer;
  float *probabilities, *d_scores;  ///< [kStripRows, kBlockKeys]
};

/// The tensors of one call.
struct BackwardTensors {
  const Tensor &q, &k, &v, &out, &log_sum_exp, &d_out;
  Tensor &d_q, &d_k, &d_v;
};

}  // namespace trireme::ops::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

/// Row of scores -> probabilities (with dropout, what multiplies v); row of d_probabilities -> d_scores =
/// P * (dP - delta).
HWY_INLINE void differentiate_row(const AttentionCall& call, int64_t sample, int64_t head, int64_t query,
                                  int64_t block, int64_t cols, const Visible& visible, float log_sum_exp,
                                  float delta, float* scores, float* d_probabilities) {
  const int64_t step = lanes();
  const bool cut = visible.lo > 0 || visible.hi < cols;
  const auto differentiate = [&](int64_t col, const auto& drop) HWY_ATTR {
    Floats probability = exp(hn::Sub(load(scores + col), constant(log_sum_exp)));
    if (cut) probability = hn::IfThenElseZero(visible_lanes(visible, col), probability);
    const Floats d_probability = drop(load(d_probabilities + col));
    store(drop(probability), scores + col);
    store(hn::Mul(probability, hn::Sub(d_probability, constant(delta))), d_probabilities + col);
  };
  if (call.options.dropout > 0.0) {
    for_each_dropout_vector(call.options, sample, head, query, block, cols,
                            [&](int64_t col, Floats factor) HWY_ATTR {
                              differentiate(col, [&](Floats x) HWY_ATTR { return hn::Mul(x, factor); });
                            });
  } else {
    for (int64_t col = 0; col < cols; col += step) differentiate(col, [](Floats x) HWY_ATTR { return x; });
  }
}

/// q (scaled), d_out, log-sum-exp and delta of one head's queries; zeros behind them.
template <class T>
void load_queries(const AttentionCall& call, const BackwardTask& task, int64_t head,
                  const BackwardTensors& tensors, BackwardScratch& scratch) {
  const int64_t dim = call.shape.head_dim, padded_dim = call.padded_dim(), q_col = head * dim;
  const int64_t count = task.query_end - task.query_begin;
  const int64_t first = call.query_row(task.sample, task.query_begin);
  copy_rows<T>(tensors.q, first, count, q_col, dim, static_cast<float>(call.options.scale), scratch.q,
               padded_dim, task.padded_queries());
  copy_rows<T>(tensors.d_out, first, count, q_col, dim, 1.0f, scratch.d_out, padded_dim,
               task.padded_queries());
  const float* log_sum_exp =
      tensors.log_sum_exp.data<float>() + call.log_sum_exp_index(task.sample, head, task.query_begin);
  for (int64_t row = 0; row < count; ++row) {
    const T* out = tensors.out.row<T>(first + row) + q_col;
    const float* d_out = scratch.d_out + row * padded_dim;
    Floats sum = zero();
    for_each_vector(
        dim, [&](auto load_at, auto) HWY_ATTR { sum = hn::MulAdd(load_at(out), load_at(d_out), sum); });
    scratch.delta[row] = sum_of_lanes(sum);
    scratch.log_sum_exp[row] = log_sum_exp[row];
  }
  std::fill(scratch.delta + count, scratch.delta + task.padded_queries(), 0.0f);
  std::fill(scratch.log_sum_exp + count, scratch.log_sum_exp + task.padded_queries(), 0.0f);
}

/// One strip of queries against the packed block of keys.
HWY_INLINE void backward_strip(const AttentionCall& call, const BackwardTask& task, int64_t head,
                               int64_t strip, const std::vector<KeyRange>& ranges, const KeyRange& keys,
                               int64_t block, BackwardScratch& scratch) {
  const int64_t padded_dim = call.padded_dim(), dim = call.shape.head_dim;
  const int64_t count = std::min(kStripRows, task.query_end - task.query_begin - strip);
  const int64_t rows = round_up(count, kTileRows);
  const int64_t cols = round_up(std::min(kBlockKeys, std::min(keys.end, task.key_end) - block), kPadding);
  const float* q = scratch.q + strip * padded_dim;
  const float* d_out = scratch.d_out + strip * padded_dim;
  multiply_matrices({q, padded_dim, 1}, scratch.keys_transposed, kBlockKeys, dim, scratch.probabilities,
                    kBlockKeys, rows, cols, false);
  multiply_matrices({d_out, padded_dim, 1}, scratch.values_transposed, kBlockKeys, dim, scratch.d_scores,
                    kBlockKeys, rows, cols, false);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t query = strip + row;
    const KeyRange range = row < count ? ranges[query] : KeyRange{};
    differentiate_row(call, task.sample, head, task.query_begin + query, block, cols,
                      visible_in_block(range, block, cols), scratch.log_sum_exp[query], scratch.delta[query],
                      scratch.probabilities + row * kBlockKeys, scratch.d_scores + row * kBlockKeys);
  }
  if (task.writes_keys) {
    const int64_t offset = (block - task.key_begin) * padded_dim;
    multiply_matrices({scratch.probabilities, 1, kBlockKeys}, d_out, padded_dim, rows, scratch.d_v + offset,
                      padded_dim, cols, padded_dim, true);
    multiply_matrices({scratch.d_scores, 1, kBlockKeys}, q, padded_dim, rows, scratch.d_k + offset,
                      padded_dim, cols, padded_dim, true);
  }
  if (task.writes_queries)
    multiply_matrices({scratch.d_scores, kBlockKeys, 1}, scratch.block, padded_dim, cols,
                      scratch.d_q + strip * padded_dim, padded_dim, rows, padded_dim, true);
}

template <class T>
void backward_task(const AttentionCall& call, const BackwardTask& task, const BackwardTensors& tensors,
                   BackwardScratch& scratch) {
  const int64_t dim = call.shape.head_dim, padded_dim = call.padded_dim();
  const int64_t k_col = task.head_begin / call.heads_per_group() * dim;
  const int64_t num_queries = task.query_end - task.query_begin, num_keys = task.key_end - task.key_begin;
  std::vector<KeyRange> ranges(num_queries);
  std::vector<KeyRange> strips;
  for (int64_t query = 0; query < num_queries; ++query)
    ranges[query] = visible_keys(call.shape, call.options.mask, task.sample, task.query_begin + query);
  for (int64_t query = task.query_begin; query < task.query_end; query += kStripRows)
    strips.push_back(visible_to_any(call, task.sample, query, std::min(task.query_end, query + kStripRows)));
  if (task.writes_keys) {
    std::fill(scratch.d_k, scratch.d_k + task.padded_keys() * padded_dim, 0.0f);
    std::fill(scratch.d_v, scratch.d_v + task.padded_keys() * padded_dim, 0.0f);
  }

  for (int64_t head = task.head_begin; head < task.head_end; ++head) {
    load_queries<T>(call, task, head, tensors, scratch);
    if (task.writes_queries) std::fill(scratch.d_q, scratch.d_q + task.padded_queries() * padded_dim, 0.0f);
    for (int64_t block = task.key_begin; block < task.key_end; block += kBlockKeys) {
      const auto seen = [&](const KeyRange& keys) {
        return keys.begin < block + kBlockKeys && keys.end > block;
      };
      if (std::none_of(strips.begin(), strips.end(), seen)) continue;
      const int64_t row = call.key_row(task.sample, block),
                    count = std::min(kBlockKeys, task.key_end - block);
      copy_rows<T>(tensors.v, row, count, k_col, dim, 1.0f, scratch.block, padded_dim, kBlockKeys);
      transpose_block(scratch.block, padded_dim, scratch.values_transposed, scratch.buffer);
      copy_rows<T>(tensors.k, row, count, k_col, dim, 1.0f, scratch.block, padded_dim, kBlockKeys);
      transpose_block(scratch.block, padded_dim, scratch.keys_transposed, scratch.buffer);
      for (size_t strip = 0; strip < strips.size(); ++strip)
        if (seen(strips[strip]))
          backward_strip(call, task, head, static_cast<int64_t>(strip) * kStripRows, ranges, strips[strip],
                         block, scratch);
    }
    for (int64_t query = 0; task.writes_queries && query < num_queries; ++query)
      write_row(scratch.d_q + query * padded_dim, dim, static_cast<float>(call.options.scale),
                tensors.d_q.row<T>(call.query_row(task.sample, task.query_begin + query)) + head * dim);
  }
  for (int64_t key = 0; task.writes_keys && key < num_keys; ++key) {
    const int64_t row = call.key_row(task.sample, task.key_begin + key);
    write_row(scratch.d_k + key * padded_dim, dim, 1.0f, tensors.d_k.row<T>(row) + k_col);
    write_row(scratch.d_v + key * padded_dim, dim, 1.0f, tensors.d_v.row<T>(row) + k_col);
  }
}

void run_backward_task(const AttentionCall& call, const BackwardTask& task, const BackwardTensors& tensors,
                       float* memory) {
  BackwardScratch scratch(call, task, memory);
  dispatch_storage(tensors.q.dtype(),
                   [&]<class T>(T) HWY_ATTR { backward_task<T>(call, task, tensors, scratch); });
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::ops::cpu {

HWY_EXPORT(run_backward_task);

namespace {

/// One task per key-value head: scores are computed once for all three gradients.
std::vector<BackwardTask> tasks_by_group(const AttentionCall& call) {
  const AttentionShape& shape = call.shape;
  std::vector<BackwardTask> tasks;
  for (int64_t sample = 0; sample < shape.num_samples; ++sample)
    for (int64_t head = 0; head < shape.num_heads; head += call.heads_per_group())
      tasks.push_back({sample, head, head + call.heads_per_group(), 0, shape.query_length, 0,
                       shape.key_length, true, true});
  return tasks;
}

/// Smaller tasks for many threads: scores are computed twice, once for the keys and once for the queries.
/// Sums run over the same blocks in the same order as above, so the results are the same bits.
std::vector<BackwardTask> tasks_by_range(const AttentionCall& call) {
  const AttentionShape& shape = call.shape;
  std::vector<BackwardTask> tasks;
  for (const BackwardTask& whole : tasks_by_group(call)) {
    for (int64_t key = 0; key < shape.key_length; key += kTaskRows) {
      BackwardTask task = whole;
      task.key_begin = key;
      task.key_end = std::min(shape.key_length, key + kTaskRows);
      task.writes_queries = false;
      tasks.push_back(task);
    }
    for (int64_t head = whole.head_begin; head < whole.head_end; ++head)
      for (int64_t query = 0; query < shape.query_length; query += kTaskRows) {
        BackwardTask task = whole;
        task.head_begin = head;
        task.head_end = head + 1;
        task.query_begin = query;
        task.query_end = std::min(shape.query_length, query + kTaskRows);
        task.writes_keys = false;
        tasks.push_back(task);
      }
  }
  return tasks;
}

/// Whether whole groups keep the threads busy: dividing them costs 7 products instead of 5.
bool groups_suffice(int64_t num_groups, int64_t num_threads) {
  const int64_t rounds = (num_groups + num_threads - 1) / num_threads;
  return num_groups * 7 >= rounds * num_threads * 5;
}

/// Rows between the keys of one sample and the next have no gradient.
void clear_unused_rows(const AttentionCall& call, Tensor& tensor) {
  const int64_t capacity = call.key_row(1, 0);
  for (int64_t sample = 0; sample < call.shape.num_samples; ++sample)
    for (int64_t key = call.shape.key_length; key < capacity; ++key) {
      const int64_t bytes = size_of(tensor.dtype());
      std::memset(tensor.raw() + call.key_row(sample, key) * tensor.row_stride() * bytes, 0,
                  static_cast<size_t>(tensor.cols() * bytes));
    }
}

}  // namespace

void attention_backward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                        const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                        const Tensor& log_sum_exp, const Tensor& d_out, Tensor& d_q, Tensor& d_k,
                        Tensor& d_v) {
  const AttentionCall call{shape, options};
  const BackwardTensors tensors{q, k, v, out, log_sum_exp, d_out, d_q, d_k, d_v};
  const int64_t num_groups = shape.num_samples * shape.num_query_groups;
  const std::vector<BackwardTask> tasks =
      groups_suffice(num_groups, context.num_threads) ? tasks_by_group(call) : tasks_by_range(call);
  const auto num_tasks = static_cast<int64_t>(tasks.size());
  int64_t scratch_size = 0;
  for (const BackwardTask& task : tasks)
    scratch_size = std::max(scratch_size, BackwardScratch(call, task, nullptr).memory.used());
  const int num_threads = static_cast<int>(std::clamp<int64_t>(num_tasks, 1, context.num_threads));
  Tensor memory = context.workspace({num_threads, scratch_size}, DType::kFloat32);
#pragma omp parallel for schedule(dynamic, 1) num_threads(num_threads)
  for (int64_t index = 0; index < num_tasks; ++index) HWY_DYNAMIC_DISPATCH(run_backward_task)
  (call, tasks[index], tensors, memory.row<float>(omp_get_thread_num()));
  clear_unused_rows(call, d_k);
  clear_unused_rows(call, d_v);
}

}  // namespace trireme::ops::cpu
#endif
