#include "core/nn/plain_attention.h"

#include <cmath>

#include "core/autograd/functions/attention.h"
#include "core/base/check.h"
#include "core/nn/key_value_cache.h"
#include "core/ops/checks.h"

namespace trireme::nn {
namespace {

/// Appends the new keys and values to the cache and attends to everything in it. No graph.
Variable attention_with_cache(Context& context, AttentionArguments arguments, KeyValueCache& cache,
                              int64_t layer, const Tensor& qkv) {
  TRIREME_ASSERT(!context.grad_enabled, "a key-value cache is for generation, without a graph");
  rotate_packed(context, arguments, qkv, false);
  const PackedSlices in = packed_slices(arguments.shape, qkv);
  KeyValueCache::Entry& entry = cache.append(context, layer, in.key, in.value);
  arguments.shape.key_length = cache.length() + arguments.shape.query_length;
  arguments.shape.key_capacity = cache.capacity();
  arguments.options.mask.query_offset = cache.length();
  Tensor out = context.activation(in.query.shape(), qkv.dtype());
  Tensor log_sum_exp =
      Tensor::allocate(context.allocator,
                       {arguments.shape.num_samples, arguments.shape.num_heads, arguments.shape.query_length},
                       ops::wide_dtype(qkv.dtype()), MemoryCategory::kActivations);
  ops::attention_forward(context, arguments.shape, arguments.options, in.query, entry.keys, entry.values, out,
                         log_sum_exp);
  return Variable(std::move(out));
}

}  // namespace

Variable PlainAttention::forward(Context& context, ForwardPass& pass, const Variable& qkv) {
  const Batch& batch = pass.batch;
  AttentionArguments arguments;
  arguments.shape = {.num_samples = batch.num_samples(),
                     .query_length = batch.length(),
                     .key_length = batch.length(),
                     .num_heads = spec_.num_heads,
                     .num_query_groups = spec_.num_query_groups,
                     .head_dim = spec_.head_dim};
  const ops::DropoutOptions dropout = dropout_options(context, pass, spec_.dropout, spec_.name);
  arguments.options = {.mask = {.causal = true, .key_begin = batch.key_begin, .key_end = {}},
                       .scale = 1.0 / std::sqrt(static_cast<double>(spec_.head_dim)),
                       .dropout = dropout.probability,
                       .dropout_key = dropout.key,
                       .sample_ids = batch.sample_ids,
                       .head_offset = head_offset_};
  arguments.rotary = spec_.rotary;
  arguments.positions = batch.positions;
  if (pass.cache != nullptr)
    return attention_with_cache(context, std::move(arguments), *pass.cache, spec_.layer, qkv.value());
  return attention(context, qkv, arguments);
}

}  // namespace trireme::nn
