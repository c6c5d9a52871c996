#pragma once

#include "core/data/padded_batch.h"
#include "core/data/random_draws.h"
#include "core/data/sample_source.h"

namespace trireme {

/// Uniformly random tokens, for benchmarks and tests: no files, one document per sample. Samples of
/// objectives that pad have from half of data.seq_length to all of it.
class SyntheticSource : public SampleSource {
 public:
  /// `stream` tells training (0) from validation (1).
  SyntheticSource(const DataConfig& config, const SampleNeeds& needs, uint64_t seed, uint64_t stream,
                  int64_t num_samples);

  int64_t num_samples() const override { return num_samples_; }
  Batch make_batch(Allocator& allocator, std::span<const int64_t> sample_numbers) const override;
  std::string fingerprint() const override;

 private:
  Batch make_windows(Allocator& allocator, std::span<const int64_t> sample_numbers) const;
  SampleContent make_sample(int64_t sample) const;

  DataConfig config_;
  SampleNeeds needs_;
  uint64_t seed_, stream_;
  int64_t num_samples_;
};

}  // namespace trireme
