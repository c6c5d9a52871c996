#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/text/character_tokenizer.h"
#include "core/text/tokenizer.h"

namespace trireme {

enum class TrainedTokenizer { kBpe, kCharacter };

/// What `trireme prepare` was asked for.
struct DatasetOptions {
  std::vector<std::string> inputs;
  std::vector<std::string> include;
  std::string jsonl_key = "text";
  std::string output;          ///< PREFIX of .bin, .idx and -tokenizer
  std::string tokenizer_path;  ///< empty: train one
  TrainedTokenizer train = TrainedTokenizer::kBpe;
  int64_t vocab_size = 8192;
  int64_t min_frequency = 2;
  CharacterUnit character_unit = CharacterUnit::kCodePoint;
  bool end_of_document = false;  ///< of a character tokenizer
  bool overwrite = false;
  int num_threads = 1;
};

struct DatasetSummary {
  std::string tokenizer_kind;
  int64_t vocab_size = 0;
  int64_t num_documents = 0;
  int64_t num_empty = 0;   ///< documents left out, as they have no text
  int64_t num_tokens = 0;  ///< ends of documents included
  int64_t num_bytes = 0;   ///< of text
  bool ends_documents = false;
};

/// Told from time to time: what is being done, how far (bytes of input).
using Progress = std::function<void(const char* what, int64_t bytes_done, int64_t bytes_total)>;

/// Reads texts, trains or loads the tokenizer, and writes PREFIX-tokenizer/, PREFIX.bin and PREFIX.idx: each
/// file or JSON line is a document, closed by the end-of-document token where the tokenizer has one. Texts of
/// special tokens inside a document are ordinary text. The output does not depend on the number of threads.
/// On any error nothing is written or lost. Throws IoError (kCannotCreate) when output exists already.
DatasetSummary make_dataset(const DatasetOptions& options, const Progress& progress);

}  // namespace trireme
