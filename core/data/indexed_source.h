#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/data/blend.h"
#include "core/data/sample_source.h"
#include "core/data/token_windows.h"

namespace trireme {

/// Windows of token files. In training, the blend chooses the file and a keyed permutation per file and pass
/// the window; in validation, windows come in the order of the files.
class IndexedSource : public SampleSource {
 public:
  /// Training. A file repeats in a new order when its windows are used up.
  IndexedSource(std::vector<TokenWindows> files, Blend blend, uint64_t seed, const DataConfig& config);
  /// Validation: each window once.
  IndexedSource(std::vector<TokenWindows> files, const DataConfig& config);

  int64_t num_samples() const override { return num_samples_; }
  Batch make_batch(Allocator& allocator, std::span<const int64_t> sample_numbers) const override;
  std::string fingerprint() const override;

 private:
  Blend::Place window_of(int64_t sample) const;

  std::vector<TokenWindows> files_;
  std::optional<Blend> blend_;
  uint64_t seed_ = 0;
  int64_t seq_length_;
  bool document_mask_;
  int64_t num_samples_ = 0;
};

}  // namespace trireme
