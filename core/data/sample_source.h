#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/data/batch.h"
#include "core/data/data_config.h"
#include "core/data/sample_needs.h"
#include "core/tensor/allocator.h"

namespace trireme {

/// A target that counts nothing (ops::kIgnoredTarget).
inline constexpr int32_t kNoTarget = -1;

/// Turns sample numbers into batches of an objective:
/// - causal: a window of seq_length + 1 tokens; the first seq_length are the inputs, the last seq_length the
///   targets. Positions and `key_begin` follow DataConfig::document_mask: with it, positions restart in every
///   document and the target of a document's last token is kNoTarget, because the next document cannot be
///   known.
/// - translation: a pair of sentences (pair_file.h); masked: BERT's sentences (masked_source.h);
///   classification: a sentence or a pair with its class (labelled_file.h). These have their own lengths and
///   are padded (padded_batch.h).
///
/// What a sample holds is a pure function of the configuration, the files, the seed and its number.
/// Thread-safe.
class SampleSource {
 public:
  virtual ~SampleSource() = default;

  /// Samples in one epoch. Larger sample numbers go on with the next epoch, in another order (training), or
  /// do not exist (validation).
  virtual int64_t num_samples() const = 0;
  /// Examples that are too long for data.seq_length and so are in no sample.
  virtual int64_t num_left_out() const { return 0; }
  /// One row per sample number, in the order given; `sample_ids` are these numbers. Throws DataError naming
  /// file and place when the data holds a token outside the vocabulary.
  virtual Batch make_batch(Allocator& allocator, std::span<const int64_t> sample_numbers) const = 0;
  /// Hash of all that decides the samples (files, blend, split, order, window length, masking) as hexadecimal
  /// digits, for the checkpoint's manifest. Independent of where the files lie, and of padding, which changes
  /// no sample.
  virtual std::string fingerprint() const = 0;
};

/// Reasons why these samples cannot be made: data options that contradict each other or make no sense for the
/// objective. Looks at no file.
std::vector<std::string> sample_errors(const DataConfig& config, const SampleNeeds& needs);

/// Sample numbers count all samples consumed since the start of training, over every epoch and rank.
std::unique_ptr<SampleSource> make_training_source(const DataConfig& config, const SampleNeeds& needs,
                                                   uint64_t seed);
/// Every sample once, in the order of the files. Null when the configuration asks for no validation data
/// (validation_fraction 0 and no valid_data_path).
std::unique_ptr<SampleSource> make_validation_source(const DataConfig& config, const SampleNeeds& needs,
                                                     uint64_t seed);

}  // namespace trireme
