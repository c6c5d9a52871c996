#pragma once

#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/data/batch.h"
#include "core/data/indexed_dataset_writer.h"

namespace trireme::testing {

using Ids = std::vector<int32_t>;
using Document = std::vector<Ids>;  ///< its sequences

inline constexpr int64_t kVocabSize = 1000;

inline std::string write_documents(const std::string& prefix, const std::vector<Document>& documents) {
  IndexedDatasetWriter writer(prefix, kVocabSize);
  for (const Document& document : documents) {
    for (const Ids& sequence : document) writer.add_sequence(sequence);
    writer.end_document();
  }
  writer.commit();
  return prefix;
}

inline Ids row_of(const Tensor& tensor, int64_t row) {
  return {tensor.row<int32_t>(row), tensor.row<int32_t>(row) + tensor.cols()};
}

inline Ids values_of(const Tensor& tensor) {
  return {tensor.data<int32_t>(), tensor.data<int32_t>() + tensor.num_elements()};
}

/// What an Error says, or "accepted".
template <class Body>
std::string message_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace trireme::testing
