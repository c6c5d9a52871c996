#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/data/mapped_file.h"
#include "core/data/token_dtype.h"

namespace trireme {

/// A data set in Megatron-LM's format, mapped into memory: PREFIX.bin holds the tokens of all sequences one
/// after the other, PREFIX.idx tells where they begin. The files are untrusted: everything is checked when
/// they are opened, and DataError names the file and what is wrong. Immutable, so thread-safe.
///
/// PREFIX.idx (little-endian, no padding): "MMIDIDX\0\0", uint64 version 1, uint8 dtype code, uint64 number
/// of sequences S, uint64 number of document bounds D, int32 size[S] in tokens, int64 pointer[S] in bytes
/// into PREFIX.bin, int64 bound[D]: document d is made of the sequences [bound[d], bound[d + 1]).
class IndexedDataset {
 public:
  explicit IndexedDataset(const std::string& prefix);

  const std::string& prefix() const { return prefix_; }
  TokenDType dtype() const { return dtype_; }
  int64_t num_tokens() const;
  int64_t num_sequences() const { return num_sequences_; }
  int64_t num_documents() const { return num_bounds_ - 1; }

  /// Copies the tokens [begin, begin + out.size()) of the whole stream. Throws DataError naming the file and
  /// the place when a token is not in [0, vocab_size).
  void copy_tokens(int64_t begin, std::span<int32_t> out, int64_t vocab_size) const;
  /// The first token of document `document` in the stream; num_tokens() for `document` == num_documents().
  int64_t document_begin(int64_t document) const;
  /// Document `document` is made of the sequences [first_sequence(document), first_sequence(document + 1)).
  int64_t first_sequence(int64_t document) const;
  /// Sequence `sequence` is the tokens [sequence_begin(sequence), sequence_begin(sequence + 1)) of the
  /// stream.
  int64_t sequence_begin(int64_t sequence) const;
  /// The document that token `position` belongs to. O(log num_documents).
  int64_t document_of(int64_t position) const;

  /// XXH3-128 of the dtype, the sizes and blocks of both files taken at even distances, as hexadecimal
  /// digits: tells data sets apart without reading terabytes. Independent of where the files lie.
  std::string fingerprint() const;

 private:
  int64_t read_size(int64_t sequence) const;
  int64_t read_pointer(int64_t sequence) const;
  int64_t read_bound(int64_t index) const;
  void validate() const;

  std::string prefix_;
  MappedFile index_;
  MappedFile tokens_;
  TokenDType dtype_ = TokenDType::kInt32;
  int64_t num_sequences_ = 0;
  int64_t num_bounds_ = 0;
};

/// The files of a data set.
std::string bin_path(const std::string& prefix);
std::string idx_path(const std::string& prefix);
/// The two data sets that `trireme prepare --source --target` writes for the pairs PREFIX: document i of one
/// belongs to document i of the other.
std::string source_prefix(const std::string& prefix);
std::string target_prefix(const std::string& prefix);

}  // namespace trireme
