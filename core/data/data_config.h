#pragma once

#include "core/base/fields.h"

namespace trireme {

enum class DataSource { kIndexed, kSynthetic };

/// Section `data`.
struct DataConfig {
  DataSource source = DataSource::kIndexed;
  std::vector<std::string> data_path;  ///< prefixes of .bin/.idx pairs
  std::vector<double> data_weights;    ///< blend, one per data_path; empty: by tokens
  std::vector<std::string>
      valid_data_path;  ///< empty: the last validation_fraction of each data_path's tokens
  double validation_fraction = 0.1;
  std::string tokenizer_path;  ///< empty: beside the first data_path
  std::string
      target_tokenizer_path;  ///< of translation; empty: beside the first data_path, or tokenizer_path
  int64_t seq_length = 1024;
  bool document_mask = false;  ///< packed documents do not attend to each other
  int64_t prefetch = 2;        ///< micro-batches prepared ahead

  // Samples of their own length: translation, BERT, classification.
  bool pad_to_seq_length = false;
  int64_t pad_to_multiple = 1;
  int64_t length_bucket = 0;  ///< samples sorted by length together; 0: none

  // BERT's masked tokens and next sentences (Devlin et al. 2019).
  double mask_prob = 0.15;
  int64_t max_predictions_per_seq = 0;  ///< 0: no limit
  bool whole_word_mask = false;
  bool mask_by_attention = false;  ///< no [MASK]: what is masked is hidden
  double short_seq_prob = 0.1;

  void fields(FieldVisitor& visitor);

 private:
  void fields_of_padding(FieldVisitor& visitor);
  void fields_of_masking(FieldVisitor& visitor);
};

}  // namespace trireme
