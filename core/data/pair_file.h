#pragma once

#include <vector>

#include "core/data/data_part.h"
#include "core/data/example_file.h"
#include "core/data/indexed_dataset.h"

namespace trireme {

/// The translation pairs PREFIX.source, PREFIX.target. With x the source and y the target sentence: the
/// encoder reads x + [end], the decoder [begin] + y, its targets are y + [end]. A pair of which either side
/// is longer than data.seq_length then is left out.
class PairFile final : public ExampleFile {
 public:
  /// Throws DataError unless both files have the same number of documents.
  PairFile(const std::string& prefix, DataPart part, const DataConfig& config, const SampleNeeds& needs);

  const std::string& prefix() const override { return prefix_; }
  int64_t num_examples() const override { return static_cast<int64_t>(kept_.size()); }
  int64_t num_left_out() const override { return range_.size() - num_examples(); }
  int64_t num_tokens(int64_t example) const override;
  SampleContent make(int64_t example) const override;
  std::string description() const override;

 private:
  std::string prefix_;
  IndexedDataset source_, target_;
  int64_t source_vocab_size_, vocab_size_;
  int32_t begin_id_, end_id_, source_end_id_;
  DataRange range_;
  std::vector<int64_t> kept_;  ///< documents that are examples
};

}  // namespace trireme
