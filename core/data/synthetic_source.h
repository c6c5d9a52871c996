#pragma once

#include "core/data/sample_source.h"

namespace trireme {

/// Uniformly random tokens, for benchmarks: no files, one document per sample.
class SyntheticSource : public SampleSource {
 public:
  /// `stream` tells training (0) from validation (1).
  SyntheticSource(const DataConfig& config, int64_t vocab_size, uint64_t seed, uint64_t stream,
                  int64_t num_samples);

  int64_t num_samples() const override { return num_samples_; }
  Batch make_batch(Allocator& allocator, std::span<const int64_t> sample_numbers) const override;
  std::string fingerprint() const override;

 private:
  int64_t seq_length_;
  bool document_mask_;
  int64_t vocab_size_;
  uint64_t seed_, stream_;
  int64_t num_samples_;
};

}  // namespace trireme
