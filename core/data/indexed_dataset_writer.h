#pragma once

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "core/data/token_dtype.h"

namespace trireme {

/// Writes a data set (see IndexedDataset) sequence by sequence, into temporary files beside PREFIX.bin and
/// PREFIX.idx that commit() renames, the index last. Without commit() nothing is left behind. Throws IoError.
class IndexedDatasetWriter {
 public:
  /// `vocab_size` decides the type of the tokens.
  IndexedDatasetWriter(const std::string& prefix, int64_t vocab_size);
  ~IndexedDatasetWriter();
  IndexedDatasetWriter(const IndexedDatasetWriter&) = delete;
  IndexedDatasetWriter& operator=(const IndexedDatasetWriter&) = delete;

  /// One sequence of the document that end_document() closes. Ids must fit the vocabulary.
  void add_sequence(std::span<const int32_t> ids);
  void end_document();
  /// One document of one sequence.
  void add_document(std::span<const int32_t> ids);
  /// Every sequence must be in a document that was ended.
  void commit();

  int64_t num_tokens() const { return num_tokens_; }
  int64_t num_sequences() const { return static_cast<int64_t>(sizes_.size()); }
  int64_t num_documents() const { return static_cast<int64_t>(bounds_.size()) - 1; }

 private:
  void write(std::FILE* file, const std::string& path, const void* data, size_t size);
  void write_index();
  void discard();

  std::string prefix_;
  std::string temporary_bin_;
  std::string temporary_idx_;
  int64_t vocab_size_;
  TokenDType dtype_;
  std::FILE* bin_ = nullptr;
  std::vector<int32_t> sizes_;
  std::vector<int64_t> bounds_ = {0};
  std::vector<uint16_t> narrow_;
  int64_t num_tokens_ = 0;
};

}  // namespace trireme
