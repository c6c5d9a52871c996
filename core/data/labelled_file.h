#pragma once

#include <vector>

#include "core/data/data_part.h"
#include "core/data/example_file.h"
#include "core/data/indexed_dataset.h"
#include "core/data/labels_file.h"

namespace trireme {

/// Sentences or pairs of them with a class each: [CLS] a [SEP], or [CLS] a [SEP] b [SEP] where b is segment
/// 1. What is longer than data.seq_length is cut at the end, the longer of a pair first (BERT).
class LabelledFile final : public ExampleFile {
 public:
  /// Throws DataError where labels and documents are not equally many, a document is not one sequence or
  /// two, or there are more classes than the model has.
  LabelledFile(const std::string& prefix, DataPart part, const DataConfig& config, const SampleNeeds& needs);

  const std::string& prefix() const override { return dataset_.prefix(); }
  const std::vector<std::string>& classes() const { return labels_.classes; }
  int64_t num_examples() const override { return range_.size(); }
  int64_t num_tokens(int64_t example) const override;
  SampleContent make(int64_t example) const override;
  std::string description() const override;

 private:
  /// Lengths of the sentences of a document as they are used: one, or two.
  std::vector<int64_t> cut_lengths(int64_t document) const;

  IndexedDataset dataset_;
  Labels labels_;
  DataRange range_;
  int64_t seq_length_, vocab_size_;
  int32_t cls_, sep_;
};

}  // namespace trireme
