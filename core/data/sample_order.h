#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/data/blend.h"

namespace trireme {

/// Which sample of which file a sample number means, in closed form. In training, a blend chooses the file
/// and a keyed permutation per file and pass the sample in it; in validation, samples come in the order of
/// the files.
class SampleOrder {
 public:
  struct Place {
    int64_t file;
    int64_t index;  ///< of the sample in the file
  };

  /// Validation: each of the `counts[file]` samples once.
  explicit SampleOrder(std::vector<int64_t> counts);
  /// Training. A file repeats in a new order when its samples are used up.
  SampleOrder(std::vector<int64_t> counts, Blend blend, uint64_t seed);

  int64_t num_samples() const { return num_samples_; }
  Place place_of(int64_t sample) const;
  /// What decides the places beside the counts, for fingerprints; 0 in validation.
  uint64_t seed() const { return seed_; }
  int64_t weight(size_t file) const { return blend_ ? blend_->weight(static_cast<int64_t>(file)) : 0; }

 private:
  std::vector<int64_t> counts_;
  std::optional<Blend> blend_;
  uint64_t seed_ = 0;
  int64_t num_samples_ = 0;
};

}  // namespace trireme
