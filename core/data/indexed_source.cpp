#include "core/data/indexed_source.h"

#include <fmt/format.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/data/batch_rows.h"
#include "core/data/permutation.h"

namespace trireme {

IndexedSource::IndexedSource(std::vector<TokenWindows> files, Blend blend, uint64_t seed,
                             const DataConfig& config)
    : IndexedSource(std::move(files), config) {
  blend_ = std::move(blend);
  seed_ = seed;
}

IndexedSource::IndexedSource(std::vector<TokenWindows> files, const DataConfig& config)
    : files_(std::move(files)), seq_length_(config.seq_length), document_mask_(config.document_mask) {
  for (const TokenWindows& file : files_) num_samples_ += file.num_windows();
}

Blend::Place IndexedSource::window_of(int64_t sample) const {
  TRIREME_ASSERT(sample >= 0, fmt::format("sample {}", sample));
  if (blend_) {
    const auto [file, index] = blend_->place_of(sample);
    const int64_t windows = files_[file].num_windows();
    const auto key = RandomKey::make(seed_, RandomPurpose::kDataOrder, static_cast<uint64_t>(index / windows),
                                     static_cast<uint64_t>(file));
    return {file, Permutation(windows, key)(index % windows)};
  }
  TRIREME_ASSERT(sample < num_samples_, fmt::format("sample {} of {}", sample, num_samples_));
  int64_t file = 0;
  while (sample >= files_[file].num_windows()) sample -= files_[file++].num_windows();
  return {file, sample};
}

Batch IndexedSource::make_batch(Allocator& allocator, std::span<const int64_t> sample_numbers) const {
  Batch batch = allocate_batch(allocator, sample_numbers, seq_length_, document_mask_);
  for (int64_t row = 0; row < batch.num_samples(); ++row) {
    const auto [file, window] = window_of(sample_numbers[row]);
    batch.num_targets[LossTerm::kTokens] += files_[file].fill(window, row_of(batch, row));
  }
  return batch;
}

std::string IndexedSource::fingerprint() const {
  std::string content =
      fmt::format("seq_length {} document_mask {} seed {}\n", seq_length_, document_mask_, seed_);
  for (size_t i = 0; i < files_.size(); ++i)
    content +=
        fmt::format("{} tokens {} to {} weight {}\n", files_[i].dataset().fingerprint(), files_[i].begin(),
                    files_[i].end(), blend_ ? blend_->weight(static_cast<int64_t>(i)) : 0);
  return xxh3_128_hex(content);
}

}  // namespace trireme
