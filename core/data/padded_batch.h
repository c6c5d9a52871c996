#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/data/batch.h"
#include "core/data/data_config.h"
#include "core/data/sample_needs.h"
#include "core/tensor/allocator.h"

namespace trireme {

/// One sample of its own length; what the objective has no use for is empty. All empty: only padding.
struct SampleContent {
  std::vector<int32_t> tokens = {};
  std::vector<int32_t> targets = {};    ///< one a token, kNoTarget where none counts; empty: none counts
  std::vector<int32_t> segments = {};   ///< one a token; empty: all of segment 0
  std::vector<int32_t> positions = {};  ///< of the tokens; empty: 0, 1, 2, ...
  std::vector<int32_t> source = {};
  int32_t label = -1;  ///< kNoTarget: none
};

/// A batch of samples of different lengths: `lengths` say where the padding begins, which holds token 0 and
/// no target. T and S are the longest of the samples rounded up to data.pad_to_multiple, or
/// data.seq_length with data.pad_to_seq_length. Has `segments` for masked and classification, `labels` for
/// classification and next_sentence, a source for translation.
Batch pad_samples(Allocator& allocator, const DataConfig& config, const SampleNeeds& needs,
                  std::span<const int64_t> sample_numbers, const std::vector<SampleContent>& samples);

}  // namespace trireme
