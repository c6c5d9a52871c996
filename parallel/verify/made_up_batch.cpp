#include "parallel/verify/made_up_batch.h"

#include <algorithm>

#include "core/ops/cross_entropy.h"

namespace trireme::verify {
namespace {

/// Whether a document starts at position t: after 2 to 4 tokens, by the sample.
bool starts_document(int64_t sample, int64_t t) {
  return t % (2 + sample % 3) == 0;
}

bool has_encoder(const ModelConfig& model) {
  return model.encoder_num_layers > 0;
}
/// A model that sees all of a sample at once, and so its padding.
bool pads(const ModelConfig& model) {
  return has_encoder(model) || model.num_token_types > 0;
}

int64_t length_of(int64_t sample, int64_t longest) {
  return std::max<int64_t>(1, longest - sample % 4);
}

int64_t longest_of(const std::vector<int64_t>& samples, int64_t window, bool whole) {
  int64_t longest = whole ? window : 0;
  for (const int64_t sample : samples) longest = std::max(longest, length_of(sample, window));
  return longest;
}

Tensor integers(Context& context, const Shape& shape) {
  return context.workspace(shape, DType::kInt32);
}

/// Token t of the automaton of a sample.
class Automaton {
 public:
  Automaton(int64_t sample, int64_t vocab_size)
      : rule_(2 + sample % 3), vocab_size_(vocab_size), token_(sample * 5 % vocab_size) {}
  int32_t token() const { return static_cast<int32_t>(token_); }
  void advance() { token_ = (token_ * rule_ + 1) % vocab_size_; }

 private:
  int64_t rule_, vocab_size_, token_;
};

/// One to three tokens; positions run backwards, so that they are not places.
void hide_tokens(Batch& batch, int64_t row, int64_t length) {
  const int64_t hidden = std::min(length, 1 + batch.sample_ids.data<int64_t>()[row] % 3);
  std::fill_n(batch.tokens.row<int32_t>(row) + length - hidden, hidden, kHiddenToken);
  for (int64_t t = 0; t < length; ++t)
    batch.positions.row<int32_t>(row)[t] = static_cast<int32_t>(length - 1 - t);
}

void fill_row(Batch& batch, int64_t row, const MadeUpSamples& what) {
  const int64_t sample = batch.sample_ids.data<int64_t>()[row];
  const int64_t length = batch.lengths.defined() ? batch.lengths.data<int32_t>()[row] : batch.length();
  Automaton automaton(sample, what.model.vocab_size);
  int64_t begin = 0;
  for (int64_t t = 0; t < batch.length(); ++t) {
    batch.tokens.row<int32_t>(row)[t] = automaton.token();
    automaton.advance();
    if (what.packed_documents && starts_document(sample, t)) begin = t;
    const bool last_of_document = what.packed_documents && starts_document(sample, t + 1);
    const bool ignored = t >= length || last_of_document || (sample * what.seq_length + t) % 5 < sample % 4;
    batch.targets.row<int32_t>(row)[t] = ignored ? ops::kIgnoredTarget : automaton.token();
    batch.positions.row<int32_t>(row)[t] = static_cast<int32_t>(t - begin);
    if (batch.key_begin.defined()) batch.key_begin.row<int32_t>(row)[t] = static_cast<int32_t>(begin);
    if (batch.segments.defined())
      batch.segments.row<int32_t>(row)[t] =
          static_cast<int32_t>(t >= length / 2) % what.model.num_token_types;
    batch.num_targets[LossTerm::kTokens] += ignored ? 0 : 1;
  }
  if (what.hidden_tokens) hide_tokens(batch, row, length);
}

void add_lengths(Context& context, Batch& batch, int64_t window) {
  batch.lengths = integers(context, {batch.num_samples()});
  for (int64_t row = 0; row < batch.num_samples(); ++row)
    batch.lengths.data<int32_t>()[row] =
        static_cast<int32_t>(length_of(batch.sample_ids.data<int64_t>()[row], window));
}

/// Twice as long as the tokens; a sample's number plus one decides, so that lengths differ from the tokens'.
void add_source(Context& context, Batch& batch, const MadeUpSamples& what) {
  const Shape shape{batch.num_samples(), 2 * batch.length()};
  batch.source_tokens = integers(context, shape);
  batch.source_positions = integers(context, shape);
  batch.source_lengths = integers(context, {batch.num_samples()});
  for (int64_t row = 0; row < batch.num_samples(); ++row) {
    const int64_t sample = batch.sample_ids.data<int64_t>()[row] + 1;
    Automaton automaton(sample, what.model.source_vocab_size);
    batch.source_lengths.data<int32_t>()[row] =
        static_cast<int32_t>(length_of(sample, batch.lengths.data<int32_t>()[row]));
    for (int64_t t = 0; t < shape[1]; ++t) {
      batch.source_tokens.row<int32_t>(row)[t] = automaton.token();
      batch.source_positions.row<int32_t>(row)[t] = static_cast<int32_t>(t / 2);
      automaton.advance();
    }
  }
}

void add_labels(Context& context, Batch& batch, int64_t num_classes) {
  batch.labels = integers(context, {batch.num_samples()});
  for (int64_t row = 0; row < batch.num_samples(); ++row) {
    const int64_t sample = batch.sample_ids.data<int64_t>()[row];
    const bool counts = sample % 4 != 3;
    batch.labels.data<int32_t>()[row] =
        counts ? static_cast<int32_t>(sample % num_classes) : ops::kIgnoredTarget;
    batch.num_targets[LossTerm::kSamples] += counts ? 1 : 0;
  }
}

}  // namespace

Batch make_batch(Context& context, const std::vector<int64_t>& samples, const MadeUpSamples& what) {
  const auto count = static_cast<int64_t>(samples.size());
  const bool padded = pads(what.model);
  const Shape shape{count, longest_of(samples, what.seq_length, what.whole_windows || !padded)};
  Batch batch;
  for (Tensor* tensor : {&batch.tokens, &batch.targets, &batch.positions}) *tensor = integers(context, shape);
  if (what.packed_documents) batch.key_begin = integers(context, shape);
  if (what.model.num_token_types > 0) batch.segments = integers(context, shape);
  batch.sample_ids = context.workspace({count}, DType::kInt64);
  std::copy(samples.begin(), samples.end(), batch.sample_ids.data<int64_t>());
  if (padded) add_lengths(context, batch, what.seq_length);
  for (int64_t row = 0; row < count; ++row) fill_row(batch, row, what);
  if (has_encoder(what.model)) add_source(context, batch, what);
  if (what.model.next_sentence_head && what.model.num_classes == 0) add_labels(context, batch, 2);
  if (what.model.num_classes > 0) {
    add_labels(context, batch, what.model.num_classes);
    batch.num_targets[LossTerm::kTokens] = 0;  // a classifier predicts no tokens
  }
  return batch;
}

}  // namespace trireme::verify
