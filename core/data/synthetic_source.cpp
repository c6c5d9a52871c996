#include "core/data/synthetic_source.h"

#include <fmt/format.h>

#include <numeric>

#include "core/base/hash.h"
#include "core/data/batch_rows.h"
#include "core/data/token_masking.h"

namespace trireme {
namespace {

std::vector<int32_t> random_tokens(RandomDraws& draws, int64_t count, int64_t vocab_size) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) token = static_cast<int32_t>(draws.below(vocab_size));
  return tokens;
}

/// From half of `longest` to all of it.
int64_t random_length(RandomDraws& draws, int64_t longest) {
  const int64_t least = (longest + 1) / 2;
  return least + draws.below(longest - least + 1);
}

}  // namespace

SyntheticSource::SyntheticSource(const DataConfig& config, const SampleNeeds& needs, uint64_t seed,
                                 uint64_t stream, int64_t num_samples)
    : config_(config), needs_(needs), seed_(seed), stream_(stream), num_samples_(num_samples) {}

Batch SyntheticSource::make_batch(Allocator& allocator, std::span<const int64_t> sample_numbers) const {
  if (needs_.objective == Objective::kCausal) return make_windows(allocator, sample_numbers);
  std::vector<SampleContent> samples;
  for (const int64_t number : sample_numbers) samples.push_back(make_sample(number));
  return pad_samples(allocator, config_, needs_, sample_numbers, samples);
}

Batch SyntheticSource::make_windows(Allocator& allocator, std::span<const int64_t> sample_numbers) const {
  Batch batch = allocate_batch(allocator, sample_numbers, config_.seq_length, config_.document_mask);
  const auto key = RandomKey::make(seed_, RandomPurpose::kSynthetic, 0, stream_);
  for (int64_t row = 0; row < batch.num_samples(); ++row) {
    RandomDraws draws(key, sample_numbers[row]);
    const auto token = [&] { return static_cast<int32_t>(draws.below(needs_.vocab_size)); };
    const SampleRow rows = row_of(batch, row);
    for (int32_t& one : rows.tokens) one = token();
    std::copy(rows.tokens.begin() + 1, rows.tokens.end(), rows.targets.begin());
    rows.targets.back() = token();
    std::iota(rows.positions.begin(), rows.positions.end(), 0);
    std::fill(rows.key_begin.begin(), rows.key_begin.end(), 0);
    batch.num_targets[LossTerm::kTokens] += config_.seq_length;
  }
  return batch;
}

SampleContent SyntheticSource::make_sample(int64_t sample) const {
  RandomDraws draws(RandomKey::make(seed_, RandomPurpose::kSynthetic, 0, stream_), sample);
  SampleContent content;
  const int64_t length = random_length(draws, config_.seq_length);
  content.tokens = random_tokens(draws, length, needs_.vocab_size);
  switch (needs_.objective) {
    case Objective::kCausal:
      break;
    case Objective::kMasked:
      content.targets = random_tokens(draws, length, needs_.vocab_size);
      for (size_t i = 1; i < content.targets.size(); ++i)  // the first counts, so that one does
        if (!draws.chance(config_.mask_prob)) content.targets[i] = kNoTarget;
      if (config_.mask_by_attention)
        for (size_t i = 1; i < content.targets.size(); ++i)
          if (content.targets[i] != kNoTarget) content.tokens[i] = kHiddenToken;
      content.label = needs_.next_sentence ? static_cast<int32_t>(draws.below(2)) : kNoTarget;
      break;
    case Objective::kTranslation:
      content.targets = random_tokens(draws, length, needs_.vocab_size);
      content.source =
          random_tokens(draws, random_length(draws, config_.seq_length), needs_.source_vocab_size);
      break;
    case Objective::kClassification:
      content.label = static_cast<int32_t>(draws.below(needs_.num_classes));
      break;
  }
  if (needs_.objective != Objective::kTranslation) {
    content.segments.assign(content.tokens.size(), 0);
    std::fill(content.segments.begin() + length / 2, content.segments.end(), needs_.next_sentence ? 1 : 0);
  }
  if (config_.mask_by_attention) put_hidden_last(content);
  return content;
}

std::string SyntheticSource::fingerprint() const {
  std::string content =
      fmt::format("synthetic seq_length {} document_mask {} vocab_size {} seed {} stream {}",
                  config_.seq_length, config_.document_mask, needs_.vocab_size, seed_, stream_);
  if (needs_.objective != Objective::kCausal)
    content +=
        fmt::format(" objective {} source {} next {} classes {} mask {}", static_cast<int>(needs_.objective),
                    needs_.source_vocab_size, needs_.next_sentence, needs_.num_classes, config_.mask_prob);
  if (config_.mask_by_attention) content += " hidden";
  return xxh3_128_hex(content);
}

}  // namespace trireme
