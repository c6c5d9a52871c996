#include "core/ops/cpu/scored_attention.h"

#include <omp.h>

#include <cmath>
#include <limits>

#include "core/ops/cpu/parallel.h"
#include "core/ops/cpu/scored_attention_call.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/scored_attention.cpp"
#include <hwy/foreach_target.h>

#include "core/ops/cpu/attention_blocks-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

/// rows [count, dim] -> columns [dim, count].
HWY_INLINE void transpose(const float* rows, int64_t count, int64_t dim, float* columns) {
  for (int64_t row = 0; row < count; ++row)
    for (int64_t k = 0; k < dim; ++k) columns[k * count + row] = rows[row * dim + k];
}

/// c (+)= a^T b, with a [depth, rows] and b, c rows of `cols`.
HWY_INLINE void multiply_transposed(const float* a, int64_t rows, const float* b, int64_t depth, float* c,
                                    int64_t cols, bool accumulate) {
  multiply_matrices({a, 1, rows}, b, cols, depth, c, cols, rows, cols, accumulate);
}

HWY_INLINE void add_rows(const float* from, int64_t count, float* to) {
  for_each_vector(count, [&](auto load_at, auto store_at)
                             HWY_ATTR { store_at(hn::Add(load_at(to), load_at(from)), to); });
}

/// sums[dim] += the rows.
HWY_INLINE void add_up_rows(const float* rows, int64_t count, int64_t padded_dim, int64_t dim, float* sums) {
  for (int64_t row = 0; row < count; ++row) add_rows(rows + row * padded_dim, dim, sums);
}

/// to[i] = from[i] + vector, row by row.
HWY_INLINE void shift_rows(const float* from, const float* vector, int64_t count, int64_t dim, float* to) {
  for (int64_t row = 0; row < count; ++row)
    for (int64_t col = 0; col < dim; col += lanes())
      store(hn::Add(load(from + row * dim + col), load(vector + col)), to + row * dim + col);
}

/// Calls body(row of scores, row of by_row, key -> row of the clipped table) for each query.
template <class Body>
HWY_INLINE void for_each_clipped(const ScoredCall& call, const Tensor& table, float* scores, float* by_row,
                                 Body&& body) {
  const int64_t clip = (table.size(0) - 1) / 2, rows = call.rows_of(table);
  for (int64_t query = 0; query < call.shape.query_length; ++query)
    body(scores + query * call.keys(), by_row + query * rows, [&call, clip, query](int64_t key) {
      return std::clamp(-call.distance(query, key), -clip, clip) + clip;
    });
}

/// The same for the table of distances.
template <class Body>
HWY_INLINE void for_each_distance(const ScoredCall& call, float* scores, float* by_row, Body&& body) {
  const int64_t rows = call.rows_of(call.terms.distances);
  for (int64_t query = 0; query < call.shape.query_length; ++query)
    body(scores + query * call.keys(), by_row + query * rows,
         [&call, query](int64_t key) { return query - key + call.shape.key_length - 1; });
}

/// scores[key] += by_row[row of key], and the reverse.
struct Spread {
  int64_t num_keys;
  template <class RowOf>
  void operator()(float* scores, const float* by_row, RowOf&& row_of) const {
    for (int64_t key = 0; key < num_keys; ++key) scores[key] += by_row[row_of(key)];
  }
};
struct Collect {
  int64_t num_keys;
  template <class RowOf>
  void operator()(const float* scores, float* by_row, RowOf&& row_of) const {
    for (int64_t key = 0; key < num_keys; ++key) by_row[row_of(key)] += scores[key];
  }
};

HWY_INLINE Visible visible_to(const ScoredCall& call, int64_t sample, int64_t query) {
  return visible_in_block(visible_keys(call.shape, call.options.mask, sample, query), 0, call.keys());
}

/// Multiplies one query's probabilities by their dropout factors.
HWY_INLINE void drop_row(const ScoredCall& call, int64_t sample, int64_t head, int64_t query, float* row) {
  for (int64_t block = 0; block < call.shape.key_length; block += kBlockKeys) {
    float* part = row + block;
    for_each_dropout_vector(
        call.options, sample, head, query, block, std::min(kBlockKeys, call.keys() - block),
        [&](int64_t col, Floats factor) HWY_ATTR { store(hn::Mul(load(part + col), factor), part + col); });
  }
}

/// The kernel of one sample and group of heads.
template <class T>
class GroupKernel {
 public:
  GroupKernel(const ScoredCall& call, int64_t sample, int64_t group, ScoredScratch& scratch)
      : call_(call), terms_(call.terms), sample_(sample), group_(group), s_(scratch) {}

  void load_keys(const Tensor& k, const Tensor& v, const float* to_transpose) {
    copy_rows<T>(k, call_.key_row(sample_, 0), call_.shape.key_length, group_ * head_dim(), head_dim(), 1.0f,
                 s_.keys, dim(), num_keys());
    copy_rows<T>(v, call_.key_row(sample_, 0), call_.shape.key_length, group_ * head_dim(), head_dim(), 1.0f,
                 s_.values, dim(), num_keys());
    transpose(to_transpose, num_keys(), dim(), s_.transposed);
  }

  void forward_head(int64_t head, const Tensor& q, Tensor& out, float* probabilities) {
    load_queries(q, head, s_.q);
    content_scores(head);
    if (terms_.relative_keys.defined()) {
      multiply_by_table(s_.q, terms_.relative_keys, 0);
      for_each_clipped(call_, terms_.relative_keys, s_.scores, s_.by_row, Spread{call_.shape.key_length});
    }
    if (terms_.distances.defined()) {
      shift_queries(terms_.position_bias, head);
      multiply_by_table(s_.q_shifted, terms_.distances, head * head_dim());
      for_each_distance(call_, s_.scores, s_.by_row, Spread{call_.shape.key_length});
    }
    for (int64_t query = 0; query < call_.shape.query_length; ++query) {
      float* row = s_.scores + query * num_keys();
      softmax_row(head, query, row);
      std::copy_n(row, call_.shape.key_length,
                  probabilities + call_.probability_row(sample_, head, query) * call_.shape.key_length);
      if (call_.options.dropout > 0.0) drop_row(call_, sample_, head, query, row);
    }
    multiply_matrices({s_.scores, num_keys(), 1}, s_.values, dim(), call_.shape.key_length, s_.out, dim(),
                      num_queries(), dim(), false);
    if (terms_.relative_values.defined()) {
      collect_clipped(terms_.relative_values, s_.scores);
      load_table(terms_.relative_values, 0);
      add_from_table(terms_.relative_values, s_.out);
    }
    store_queries(s_.out, head, out);
  }

  void clear_key_gradients() {
    std::fill(s_.d_keys, s_.d_keys + num_keys() * dim(), 0.0f);
    std::fill(s_.d_values, s_.d_values + num_keys() * dim(), 0.0f);
  }

  void backward_head(int64_t head, const Tensor& q, const float* probabilities, const Tensor& d_out,
                     const float* d_probabilities, Tensor& d_q, const ScoredPartials& partials) {
    load_queries(q, head, s_.q);
    load_queries(d_out, head, s_.d_out);
    load_weights(head, probabilities);
    multiply_matrices({s_.d_out, dim(), 1}, s_.transposed, num_keys(), head_dim(), s_.scores, num_keys(),
                      num_queries(), num_keys(), false);
    multiply_transposed(s_.kept, num_keys(), s_.d_out, call_.shape.query_length, s_.d_values, dim(), true);
    if (terms_.relative_values.defined()) {
      multiply_by_table(s_.d_out, terms_.relative_values, 0);
      for_each_clipped(call_, terms_.relative_values, s_.scores, s_.by_row, Spread{call_.shape.key_length});
      collect_clipped(terms_.relative_values, s_.kept);
      multiply_transposed(s_.by_row, call_.rows_of(terms_.relative_values), s_.d_out,
                          call_.shape.query_length, partials.relative_values, dim(), true);
    }
    for (int64_t query = 0; query < call_.shape.query_length; ++query)
      score_gradient_row(head, query, d_probabilities);
    std::fill(s_.scores + call_.shape.query_length * num_keys(), s_.scores + num_queries() * num_keys(),
              0.0f);
    content_gradients(head, partials);
    if (terms_.relative_keys.defined()) {
      collect_clipped(terms_.relative_keys, s_.scores);
      load_table(terms_.relative_keys, 0);
      add_from_table(terms_.relative_keys, s_.d_q);
      multiply_transposed(s_.by_row, call_.rows_of(terms_.relative_keys), s_.q, call_.shape.query_length,
                          partials.relative_keys, dim(), true);
    }
    if (terms_.distances.defined()) distance_gradients(head, partials);
    store_queries(s_.d_q, head, d_q);
  }

  void store_key_gradients(Tensor& d_k, Tensor& d_v) const {
    for (int64_t key = 0; key < call_.shape.key_length; ++key) {
      const int64_t row = call_.key_row(sample_, key), col = group_ * head_dim();
      write_row(s_.d_keys + key * dim(), head_dim(), 1.0f, d_k.row<T>(row) + col);
      write_row(s_.d_values + key * dim(), head_dim(), 1.0f, d_v.row<T>(row) + col);
    }
    for (int64_t row = call_.key_row(sample_, call_.shape.key_length); row < call_.key_row(sample_ + 1, 0);
         ++row)
      for (Tensor* gradient : {&d_k, &d_v})
        std::fill_n(gradient->row<T>(row) + group_ * head_dim(), head_dim(), T(0.0f));
  }

 private:
  int64_t dim() const { return call_.padded_dim(); }
  int64_t head_dim() const { return call_.shape.head_dim; }
  int64_t num_queries() const { return call_.queries(); }
  int64_t num_keys() const { return call_.keys(); }

  void load_queries(const Tensor& from, int64_t head, float* to) const {
    copy_rows<T>(from, call_.query_row(sample_, 0), call_.shape.query_length, head * head_dim(), head_dim(),
                 1.0f, to, dim(), num_queries());
  }
  void store_queries(const float* from, int64_t head, Tensor& to) const {
    for (int64_t query = 0; query < call_.shape.query_length; ++query)
      write_row(from + query * dim(), head_dim(), 1.0f,
                to.row<T>(call_.query_row(sample_, query)) + head * head_dim());
  }

  /// A row of a table [H, K] into s_.vector.
  void load_vector(const Tensor& table, int64_t head) const {
    copy_row(table.row<T>(head), head_dim(), 1.0f, s_.vector, dim());
  }
  void shift_queries(const Tensor& bias, int64_t head) const {
    load_vector(bias, head);
    shift_rows(s_.q, s_.vector, num_queries(), dim(), s_.q_shifted);
  }

  void load_table(const Tensor& table, int64_t col) const {
    copy_rows<T>(table, 0, table.size(0), col, head_dim(), 1.0f, s_.table, dim(), call_.rows_of(table));
  }
  /// by_row = left table^T.
  void multiply_by_table(const float* left, const Tensor& table, int64_t col) const {
    load_table(table, col);
    const int64_t rows = call_.rows_of(table);
    transpose(s_.table, rows, dim(), s_.table_transposed);
    multiply_matrices({left, dim(), 1}, s_.table_transposed, rows, head_dim(), s_.by_row, rows, num_queries(),
                      rows, false);
  }
  void clear_by_row(const Tensor& table) const {
    std::fill(s_.by_row, s_.by_row + num_queries() * call_.rows_of(table), 0.0f);
  }
  void collect_clipped(const Tensor& table, float* scores) const {
    clear_by_row(table);
    for_each_clipped(call_, table, scores, s_.by_row, Collect{call_.shape.key_length});
  }
  /// to += by_row table.
  void add_from_table(const Tensor& table, float* to) const {
    multiply_matrices({s_.by_row, call_.rows_of(table), 1}, s_.table, dim(), table.size(0), to, dim(),
                      num_queries(), dim(), true);
  }

  void content_scores(int64_t head) const {
    if (terms_.additive.defined()) return additive_scores(head);
    const float* left = s_.q;
    if (terms_.content_bias.defined()) {
      shift_queries(terms_.content_bias, head);
      left = s_.q_shifted;
    }
    multiply_matrices({left, dim(), 1}, s_.transposed, num_keys(), head_dim(), s_.scores, num_keys(),
                      num_queries(), num_keys(), false);
  }

  void additive_scores(int64_t head) const {
    load_vector(terms_.additive, head);
    std::fill(s_.scores, s_.scores + num_queries() * num_keys(), 0.0f);
    for (int64_t query = 0; query < call_.shape.query_length; ++query) {
      const Visible visible = visible_to(call_, sample_, query);
      for (int64_t key = visible.lo; key < visible.hi; ++key) {
        const float *q = s_.q + query * dim(), *k = s_.keys + key * dim();
        Floats sum = zero();
        for (int64_t col = 0; col < dim(); col += lanes())
          sum = hn::MulAdd(load(s_.vector + col), tanh(hn::Add(load(q + col), load(k + col))), sum);
        s_.scores[query * num_keys() + key] = sum_of_lanes(sum);
      }
    }
  }

  /// Scores become probabilities; what is not seen becomes zero.
  void softmax_row(int64_t head, int64_t query, float* row) const {
    constexpr float kNothing = -std::numeric_limits<float>::infinity();
    const Visible visible = visible_to(call_, sample_, query);
    const Floats scale = constant(static_cast<float>(call_.options.scale));
    const Floats slope = constant(terms_.slopes.empty() ? 0.0f : static_cast<float>(terms_.slopes[head]));
    const float position = static_cast<float>(call_.distance(query, 0));
    Floats largest = constant(kNothing);
    for (int64_t col = 0; col < num_keys(); col += lanes()) {
      const Floats key = hn::Iota(FloatTag(), static_cast<float>(col));
      const Floats distance = hn::Abs(hn::Sub(constant(position), key));
      const Floats score = hn::NegMulAdd(slope, distance, hn::Mul(load(row + col), scale));
      const Floats seen = hn::IfThenElse(visible_lanes(visible, col), score, constant(kNothing));
      largest = hn::Max(largest, seen);
      store(seen, row + col);
    }
    const float maximum = max_of_lanes(largest);
    const Floats shift = constant(maximum == kNothing ? 0.0f : maximum);
    Floats sum = zero();
    for (int64_t col = 0; col < num_keys(); col += lanes()) {
      const Floats weight = exp(hn::Sub(load(row + col), shift));
      sum = hn::Add(sum, weight);
      store(weight, row + col);
    }
    const Floats factor = constant(maximum == kNothing ? 0.0f : 1.0f / sum_of_lanes(sum));
    for (int64_t col = 0; col < num_keys(); col += lanes())
      store(hn::Mul(load(row + col), factor), row + col);
  }

  void load_weights(int64_t head, const float* probabilities) const {
    const int64_t length = call_.shape.key_length;
    std::fill(s_.weights, s_.weights + num_queries() * num_keys(), 0.0f);
    for (int64_t query = 0; query < call_.shape.query_length; ++query)
      std::copy_n(probabilities + call_.probability_row(sample_, head, query) * length, length,
                  s_.weights + query * num_keys());
    std::copy_n(s_.weights, num_queries() * num_keys(), s_.kept);
    if (call_.options.dropout == 0.0) return;
    for (int64_t query = 0; query < call_.shape.query_length; ++query)
      drop_row(call_, sample_, head, query, s_.kept + query * num_keys());
  }

  /// dS = scale * (kept * dO.v + p * (d_probability - delta)), delta = sum(kept * dO.v + p * d_probability).
  void score_gradient_row(int64_t head, int64_t query, const float* d_probabilities) const {
    float* row = s_.scores + query * num_keys();
    const float *weights = s_.weights + query * num_keys(), *kept = s_.kept + query * num_keys();
    const float* given = nullptr;
    if (d_probabilities != nullptr)
      given = d_probabilities + call_.probability_row(sample_, head, query) * call_.shape.key_length;
    const int64_t length = call_.shape.key_length;
    const float delta = sum_over(length, [&](auto load_at) HWY_ATTR {
      const Floats direct = hn::Mul(load_at(kept), load_at(row));
      return given == nullptr ? direct : hn::MulAdd(load_at(weights), load_at(given), direct);
    });
    const Floats scale = constant(static_cast<float>(call_.options.scale));
    for_each_vector(length, [&](auto load_at, auto store_at) HWY_ATTR {
      const Floats rest = hn::Sub(given == nullptr ? zero() : load_at(given), constant(delta));
      const Floats direct = hn::Mul(load_at(kept), load_at(row));
      store_at(hn::Mul(scale, hn::MulAdd(load_at(weights), rest, direct)), row);
    });
    std::fill(row + length, row + num_keys(), 0.0f);
  }

  void content_gradients(int64_t head, const ScoredPartials& partials) const {
    if (terms_.additive.defined()) return additive_gradients(head, partials);
    multiply_matrices({s_.scores, num_keys(), 1}, s_.keys, dim(), call_.shape.key_length, s_.d_q, dim(),
                      num_queries(), dim(), false);
    const float* left = s_.q;
    if (terms_.content_bias.defined()) {
      add_up_rows(s_.d_q, call_.shape.query_length, dim(), head_dim(),
                  partials.content_bias + head * head_dim());
      shift_queries(terms_.content_bias, head);
      left = s_.q_shifted;
    }
    multiply_transposed(s_.scores, num_keys(), left, call_.shape.query_length, s_.d_keys, dim(), true);
  }

  void additive_gradients(int64_t head, const ScoredPartials& partials) const {
    load_vector(terms_.additive, head);
    std::fill(s_.d_q, s_.d_q + num_queries() * dim(), 0.0f);
    std::fill(s_.out, s_.out + dim(), 0.0f);  // the gradient of the vector
    for (int64_t query = 0; query < call_.shape.query_length; ++query) {
      const Visible visible = visible_to(call_, sample_, query);
      for (int64_t key = visible.lo; key < visible.hi; ++key) {
        const Floats d_score = constant(s_.scores[query * num_keys() + key]);
        const float *q = s_.q + query * dim(), *k = s_.keys + key * dim();
        float *d_q = s_.d_q + query * dim(), *d_k = s_.d_keys + key * dim();
        for (int64_t col = 0; col < dim(); col += lanes()) {
          const Floats t = tanh(hn::Add(load(q + col), load(k + col)));
          store(hn::MulAdd(d_score, t, load(s_.out + col)), s_.out + col);
          const Floats slope = hn::NegMulAdd(t, t, constant(1.0f));
          const Floats d_sum = hn::Mul(hn::Mul(d_score, load(s_.vector + col)), slope);
          store(hn::Add(load(d_q + col), d_sum), d_q + col);
          store(hn::Add(load(d_k + col), d_sum), d_k + col);
        }
      }
    }
    add_rows(s_.out, head_dim(), partials.additive + head * head_dim());
  }

  void distance_gradients(int64_t head, const ScoredPartials& partials) const {
    const int64_t rows = call_.rows_of(terms_.distances), cols = call_.shape.num_heads * head_dim();
    clear_by_row(terms_.distances);
    for_each_distance(call_, s_.scores, s_.by_row, Collect{call_.shape.key_length});
    load_table(terms_.distances, head * head_dim());
    multiply_matrices({s_.by_row, rows, 1}, s_.table, dim(), call_.num_distances(), s_.out, dim(),
                      num_queries(), dim(), false);
    add_up_rows(s_.out, call_.shape.query_length, dim(), head_dim(),
                partials.position_bias + head * head_dim());
    add_rows(s_.out, num_queries() * dim(), s_.d_q);
    shift_queries(terms_.position_bias, head);
    multiply_transposed(s_.by_row, rows, s_.q_shifted, call_.shape.query_length, s_.table, dim(), false);
    for (int64_t row = 0; row < call_.num_distances(); ++row)
      write_row(s_.table + row * dim(), head_dim(), 1.0f,
                partials.distances + row * cols + head * head_dim());
  }

  const ScoredCall& call_;
  const ScoreTerms& terms_;
  int64_t sample_, group_;
  ScoredScratch& s_;
};

void forward_group(const ScoredCall& call, int64_t sample, int64_t group, const Tensor& q, const Tensor& k,
                   const Tensor& v, Tensor& out, float* probabilities, ScoredScratch& scratch) {
  dispatch_storage(q.dtype(), [&]<class T>(T) HWY_ATTR {
    GroupKernel<T> kernel(call, sample, group, scratch);
    kernel.load_keys(k, v, scratch.keys);
    const int64_t heads = call.heads_per_group();
    for (int64_t head = group * heads; head < (group + 1) * heads; ++head)
      kernel.forward_head(head, q, out, probabilities);
  });
}

void backward_group(const ScoredCall& call, int64_t sample, int64_t group, const Tensor& q, const Tensor& k,
                    const Tensor& v, const float* probabilities, const Tensor& d_out,
                    const float* d_probabilities, Tensor& d_q, Tensor& d_k, Tensor& d_v,
                    const ScoredPartials& partials, ScoredScratch& scratch) {
  dispatch_storage(q.dtype(), [&]<class T>(T) HWY_ATTR {
    GroupKernel<T> kernel(call, sample, group, scratch);
    kernel.load_keys(k, v, scratch.values);
    kernel.clear_key_gradients();
    const int64_t heads = call.heads_per_group();
    for (int64_t head = group * heads; head < (group + 1) * heads; ++head)
      kernel.backward_head(head, q, probabilities, d_out, d_probabilities, d_q, partials);
    kernel.store_key_gradients(d_k, d_v);
  });
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::ops::cpu {

HWY_EXPORT(forward_group);
HWY_EXPORT(backward_group);

namespace {

/// Calls body(sample, group, scratch) for every one, on all threads. They share nothing.
template <class Body>
void for_each_group(Context& context, const ScoredCall& call, bool backward, Body&& body) {
  const int64_t groups = call.shape.num_query_groups, num_tasks = call.shape.num_samples * groups;
  const int num_threads = static_cast<int>(std::min<int64_t>(context.num_threads, num_tasks));
  const int64_t scratch_size = ScoredScratch(call, backward, nullptr).memory.used();
  Tensor memory = context.workspace({num_threads, scratch_size}, DType::kFloat32);
#pragma omp parallel num_threads(num_threads)
  {
    ScoredScratch scratch(call, backward, memory.row<float>(omp_get_thread_num()));
#pragma omp for schedule(dynamic, 1)
    for (int64_t task = 0; task < num_tasks; ++task) body(task / groups, task % groups, scratch);
  }
}

/// Gradients of one term: `num_parts` matrices that tasks write, added up in their order. Rows of a part are
/// `part_cols` long, those of the term may be shorter.
class Partials {
 public:
  Partials(Context& context, const Tensor& gradient, int64_t num_parts, int64_t part_rows, int64_t part_cols)
      : context_(context), gradient_(gradient), part_cols_(part_cols) {
    if (gradient.defined())
      parts_ = context.zeros({num_parts, part_rows * part_cols}, DType::kFloat32, MemoryCategory::kWorkspace);
  }
  float* part(int64_t index) const { return parts_.defined() ? parts_.row<float>(index) : nullptr; }

  void add_up() {
    if (!parts_.defined()) return;
    parallel_rows(context_, gradient_.rows(), parts_.rows() * part_cols_, [&](const Block& block) {
      for (int64_t row = block.row_begin; row < block.row_end; ++row) {
        float* to = gradient_.row<float>(row);
        std::copy_n(part(0) + row * part_cols_, gradient_.cols(), to);
        for (int64_t index = 1; index < parts_.rows(); ++index) {
          const float* from = part(index) + row * part_cols_;
          for (int64_t col = 0; col < gradient_.cols(); ++col) to[col] += from[col];
        }
      }
    });
  }

 private:
  Context& context_;
  Tensor gradient_, parts_;
  int64_t part_cols_;
};

}  // namespace

void scored_attention_forward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                              const ScoreTerms& terms, const Tensor& q, const Tensor& k, const Tensor& v,
                              Tensor& out, Tensor& probabilities) {
  const ScoredCall call(shape, options, terms);
  for_each_group(context, call, false, [&](int64_t sample, int64_t group, ScoredScratch& scratch) {
    HWY_DYNAMIC_DISPATCH(forward_group)
    (call, sample, group, q, k, v, out, probabilities.data<float>(), scratch);
  });
}

void scored_attention_backward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                               const ScoreTerms& terms, const Tensor& q, const Tensor& k, const Tensor& v,
                               const Tensor& probabilities, const Tensor& d_out,
                               const Tensor& d_probabilities, Tensor& d_q, Tensor& d_k, Tensor& d_v,
                               ScoreTermGradients& d_terms) {
  const ScoredCall call(shape, options, terms);
  const int64_t B = shape.num_samples, G = shape.num_query_groups, H = shape.num_heads, K = shape.head_dim;
  const auto clipped = [&](const Tensor& gradient) {
    return Partials(context, gradient, B * G, call.rows_of(gradient), call.padded_dim());
  };
  Partials relative_keys = clipped(d_terms.relative_keys);
  Partials relative_values = clipped(d_terms.relative_values);
  Partials distances(context, d_terms.distances, B, call.num_distances(), H * K);
  Partials content_bias(context, d_terms.content_bias, B, H, K);
  Partials position_bias(context, d_terms.position_bias, B, H, K);
  Partials additive(context, d_terms.additive, B, H, K);
  for_each_group(context, call, true, [&](int64_t sample, int64_t group, ScoredScratch& scratch) {
    const ScoredPartials parts{relative_keys.part(sample * G + group),
                               relative_values.part(sample * G + group),
                               distances.part(sample),
                               content_bias.part(sample),
                               position_bias.part(sample),
                               additive.part(sample)};
    HWY_DYNAMIC_DISPATCH(backward_group)
    (call, sample, group, q, k, v, probabilities.data<float>(), d_out,
     d_probabilities.defined() ? d_probabilities.data<float>() : nullptr, d_q, d_k, d_v, parts, scratch);
  });
  for (Partials* partials :
       {&relative_keys, &relative_values, &distances, &content_bias, &position_bias, &additive})
    partials->add_up();
}

}  // namespace trireme::ops::cpu
#endif
