#pragma once

#include <string>
#include <vector>

#include "core/data/sample_order.h"
#include "core/data/sample_source.h"
#include "core/data/token_windows.h"

namespace trireme {

/// Windows of token files, for causal language models.
class IndexedSource : public SampleSource {
 public:
  /// `order` is over the windows of the files.
  IndexedSource(std::vector<TokenWindows> files, SampleOrder order, const DataConfig& config);

  int64_t num_samples() const override { return order_.num_samples(); }
  Batch make_batch(Allocator& allocator, std::span<const int64_t> sample_numbers) const override;
  std::string fingerprint() const override;

 private:
  std::vector<TokenWindows> files_;
  SampleOrder order_;
  int64_t seq_length_;
  bool document_mask_;
};

}  // namespace trireme
