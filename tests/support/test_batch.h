#pragma once

#include "core/data/batch.h"
#include "tests/support/gradient_check.h"

namespace trireme::testing {

/// B samples of T random tokens; every fifth target counts nothing; global sample numbers from
/// `first_sample`.
inline Batch random_batch(Context& context, int64_t num_samples, int64_t length, int64_t vocab_size,
                          uint64_t seed, int64_t first_sample = 0) {
  Batch batch;
  batch.tokens = random_ids(context, {num_samples, length}, vocab_size, seed);
  batch.targets = random_ids(context, {num_samples, length}, vocab_size, seed + 1);
  batch.positions = context.workspace({num_samples, length}, DType::kInt32);
  batch.sample_ids = context.workspace({num_samples}, DType::kInt64);
  for (int64_t i = 0; i < num_samples * length; ++i) {
    batch.positions.data<int32_t>()[i] = static_cast<int32_t>(i % length);
    if (i % 5 == 4) batch.targets.data<int32_t>()[i] = -1;
    batch.num_targets[LossTerm::kTokens] += i % 5 == 4 ? 0 : 1;
  }
  for (int64_t i = 0; i < num_samples; ++i) batch.sample_ids.data<int64_t>()[i] = first_sample + i;
  return batch;
}

/// Cuts every sample into two documents after `first_length` tokens: positions restart and the second does
/// not see the first.
inline void pack_documents(Context& context, Batch& batch, int64_t first_length) {
  batch.key_begin = context.workspace(batch.tokens.shape(), DType::kInt32);
  for (int64_t i = 0; i < batch.tokens.num_elements(); ++i) {
    const auto position = static_cast<int32_t>(i % batch.length());
    const auto begin = position < first_length ? 0 : static_cast<int32_t>(first_length);
    batch.key_begin.data<int32_t>()[i] = begin;
    batch.positions.data<int32_t>()[i] = position - begin;
  }
}

}  // namespace trireme::testing
