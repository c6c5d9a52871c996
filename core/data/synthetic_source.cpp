#include "core/data/synthetic_source.h"

#include <fmt/format.h>

#include <numeric>

#include "core/base/hash.h"
#include "core/base/philox.h"
#include "core/data/batch_rows.h"

namespace trireme {

SyntheticSource::SyntheticSource(const DataConfig& config, int64_t vocab_size, uint64_t seed, uint64_t stream,
                                 int64_t num_samples)
    : seq_length_(config.seq_length),
      document_mask_(config.document_mask),
      vocab_size_(vocab_size),
      seed_(seed),
      stream_(stream),
      num_samples_(num_samples) {}

Batch SyntheticSource::make_batch(Allocator& allocator, std::span<const int64_t> sample_numbers) const {
  Batch batch = allocate_batch(allocator, sample_numbers, seq_length_, document_mask_);
  const auto key = RandomKey::make(seed_, RandomPurpose::kSynthetic, 0, stream_);
  for (int64_t row = 0; row < batch.num_samples(); ++row) {
    const auto sample = static_cast<uint64_t>(sample_numbers[row]);
    const auto token = [&](int64_t position) {
      const auto words = philox(key, {static_cast<uint32_t>(position / 4), static_cast<uint32_t>(sample),
                                      static_cast<uint32_t>(sample >> 32), 0});
      const uint64_t bits = words[position % 4];
      return static_cast<int32_t>(bits * static_cast<uint64_t>(vocab_size_) >> 32);
    };
    const SampleRow rows = row_of(batch, row);
    for (int64_t t = 0; t < seq_length_; ++t) rows.tokens[t] = token(t);
    std::copy(rows.tokens.begin() + 1, rows.tokens.end(), rows.targets.begin());
    rows.targets[seq_length_ - 1] = token(seq_length_);
    std::iota(rows.positions.begin(), rows.positions.end(), 0);
    std::fill(rows.key_begin.begin(), rows.key_begin.end(), 0);
    batch.num_targets[LossTerm::kTokens] += seq_length_;
  }
  return batch;
}

std::string SyntheticSource::fingerprint() const {
  return xxh3_128_hex(fmt::format("synthetic seq_length {} document_mask {} vocab_size {} seed {} stream {}",
                                  seq_length_, document_mask_, vocab_size_, seed_, stream_));
}

}  // namespace trireme
