#include "core/data/indexed_source.h"

#include <fmt/format.h>

#include "core/base/hash.h"
#include "core/data/batch_rows.h"

namespace trireme {

IndexedSource::IndexedSource(std::vector<TokenWindows> files, SampleOrder order, const DataConfig& config)
    : files_(std::move(files)),
      order_(std::move(order)),
      seq_length_(config.seq_length),
      document_mask_(config.document_mask) {}

Batch IndexedSource::make_batch(Allocator& allocator, std::span<const int64_t> sample_numbers) const {
  Batch batch = allocate_batch(allocator, sample_numbers, seq_length_, document_mask_);
  for (int64_t row = 0; row < batch.num_samples(); ++row) {
    const auto [file, window] = order_.place_of(sample_numbers[row]);
    batch.num_targets[LossTerm::kTokens] += files_[file].fill(window, row_of(batch, row));
  }
  return batch;
}

std::string IndexedSource::fingerprint() const {
  std::string content =
      fmt::format("seq_length {} document_mask {} seed {}\n", seq_length_, document_mask_, order_.seed());
  for (size_t i = 0; i < files_.size(); ++i)
    content += fmt::format("{} tokens {} to {} weight {}\n", files_[i].dataset().fingerprint(),
                           files_[i].begin(), files_[i].end(), order_.weight(i));
  return xxh3_128_hex(content);
}

}  // namespace trireme
