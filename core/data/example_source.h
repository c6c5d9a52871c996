#pragma once

#include <memory>
#include <vector>

#include "core/data/example_file.h"
#include "core/data/length_buckets.h"
#include "core/data/sample_order.h"
#include "core/data/sample_source.h"

namespace trireme {

/// Examples of files, padded to batches. In training an epoch takes every example once, in another order
/// each time, examples of similar length together with data.length_bucket; in validation they come in the
/// order of the files.
class ExampleSource final : public SampleSource {
 public:
  using Files = std::vector<std::unique_ptr<const ExampleFile>>;

  /// `bucket_seed`: of the length buckets; without it, the order is kept as it is.
  ExampleSource(Files files, SampleOrder order, std::optional<uint64_t> bucket_seed, const DataConfig& config,
                const SampleNeeds& needs);

  int64_t num_samples() const override { return order_.num_samples(); }
  int64_t num_left_out() const override;
  Batch make_batch(Allocator& allocator, std::span<const int64_t> sample_numbers) const override;
  std::string fingerprint() const override;

 private:
  Files files_;
  SampleOrder order_;
  DataConfig config_;
  SampleNeeds needs_;
  std::unique_ptr<const LengthBuckets> buckets_;  ///< null: none
};

}  // namespace trireme
