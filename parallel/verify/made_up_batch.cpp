#include "parallel/verify/made_up_batch.h"

#include "core/ops/cross_entropy.h"

namespace trireme::verify {
namespace {

/// Whether a document starts at position t: after 2 to 4 tokens, by the sample.
bool starts_document(int64_t sample, int64_t t) {
  return t % (2 + sample % 3) == 0;
}

void fill_row(Batch& batch, int64_t row, int64_t vocab_size, bool packed_documents) {
  const int64_t sample = batch.sample_ids.data<int64_t>()[row];
  int64_t token = sample * 5 % vocab_size, begin = 0;
  for (int64_t t = 0; t < batch.length(); ++t) {
    const int64_t next = (token * (2 + sample % 3) + 1) % vocab_size;
    if (packed_documents && starts_document(sample, t)) begin = t;
    const bool last_of_document = packed_documents && starts_document(sample, t + 1);
    const bool ignored = last_of_document || (sample * batch.length() + t) % 5 < sample % 4;
    batch.tokens.row<int32_t>(row)[t] = static_cast<int32_t>(token);
    batch.targets.row<int32_t>(row)[t] = ignored ? ops::kIgnoredTarget : static_cast<int32_t>(next);
    batch.positions.row<int32_t>(row)[t] = static_cast<int32_t>(t - begin);
    if (packed_documents) batch.key_begin.row<int32_t>(row)[t] = static_cast<int32_t>(begin);
    batch.num_targets[LossTerm::kTokens] += ignored ? 0 : 1;
    token = next;
  }
}

}  // namespace

Batch make_batch(Context& context, const std::vector<int64_t>& samples, int64_t seq_length,
                 int64_t vocab_size, bool packed_documents) {
  const auto count = static_cast<int64_t>(samples.size());
  Batch batch;
  for (Tensor* tensor : {&batch.tokens, &batch.targets, &batch.positions})
    *tensor = context.workspace({count, seq_length}, DType::kInt32);
  if (packed_documents) batch.key_begin = context.workspace({count, seq_length}, DType::kInt32);
  batch.sample_ids = context.workspace({count}, DType::kInt64);
  std::copy(samples.begin(), samples.end(), batch.sample_ids.data<int64_t>());
  for (int64_t row = 0; row < count; ++row) fill_row(batch, row, vocab_size, packed_documents);
  return batch;
}

}  // namespace trireme::verify
