#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/data/blend.h"
#include "core/data/sample_source.h"
#include "core/data/sentence_file.h"

namespace trireme {

/// BERT's pre-training: sentences whose tokens are masked, and whether the second follows the first.
class MaskedSource final : public SampleSource {
 public:
  using Files = std::vector<std::unique_ptr<const SentenceFile>>;

  /// With a blend, training: it chooses the file. Without, validation: each sample of the files' first passes
  /// once.
  MaskedSource(Files files, std::optional<Blend> blend, uint64_t seed, const DataConfig& config,
               const SampleNeeds& needs);

  int64_t num_samples() const override { return num_samples_; }
  Batch make_batch(Allocator& allocator, std::span<const int64_t> sample_numbers) const override;
  std::string fingerprint() const override;

 private:
  Blend::Place place_of(int64_t sample) const;

  Files files_;
  std::optional<Blend> blend_;
  uint64_t seed_;
  DataConfig config_;
  SampleNeeds needs_;
  int64_t num_samples_ = 0;
};

}  // namespace trireme
