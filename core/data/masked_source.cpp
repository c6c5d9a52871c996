#include "core/data/masked_source.h"

#include <fmt/format.h>

#include "core/base/check.h"
#include "core/base/hash.h"

namespace trireme {

MaskedSource::MaskedSource(Files files, std::optional<Blend> blend, uint64_t seed, const DataConfig& config,
                           const SampleNeeds& needs)
    : files_(std::move(files)), blend_(std::move(blend)), seed_(seed), config_(config), needs_(needs) {
  for (const auto& file : files_) num_samples_ += file->num_samples();
}

Blend::Place MaskedSource::place_of(int64_t sample) const {
  if (blend_) return blend_->place_of(sample);
  TRIREME_ASSERT(sample < num_samples_, fmt::format("sample {} of {}", sample, num_samples_));
  int64_t file = 0;
  while (sample >= files_[file]->num_samples()) sample -= files_[file++]->num_samples();
  return {file, sample};
}

Batch MaskedSource::make_batch(Allocator& allocator, std::span<const int64_t> sample_numbers) const {
  std::vector<SampleContent> samples;
  for (const int64_t number : sample_numbers) {
    const auto [file, index] = place_of(number);
    samples.push_back(files_[file]->make(index));
  }
  return pad_samples(allocator, config_, needs_, sample_numbers, samples);
}

std::string MaskedSource::fingerprint() const {
  std::string content = fmt::format("seed {}", seed_);
  for (size_t i = 0; i < files_.size(); ++i)
    content += fmt::format("\n{} weight {}", files_[i]->description(),
                           blend_ ? blend_->weight(static_cast<int64_t>(i)) : 0);
  return xxh3_128_hex(content);
}

}  // namespace trireme
