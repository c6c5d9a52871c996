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
  int64_t seq_length = 1024;
  bool document_mask = false;  ///< packed documents do not attend to each other
  int64_t prefetch = 2;        ///< micro-batches prepared ahead

  void fields(FieldVisitor& visitor);
};

}  // namespace trireme
