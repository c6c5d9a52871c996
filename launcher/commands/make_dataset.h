#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/data/text_records.h"
#include "launcher/commands/tokenizer_training.h"

namespace trireme {

/// What a data set is made from (core/data/README.md says what each becomes).
enum class DatasetKind { kDocuments, kSentences, kPairs, kLabelled };

/// What `trireme prepare` was asked for.
struct DatasetOptions {
  DatasetKind kind = DatasetKind::kDocuments;
  std::vector<std::string> inputs;  ///< documents, sentences
  std::vector<std::string> include;
  std::string jsonl_key = "text";
  std::string source, target;  ///< pairs as two files,
  std::string pairs;           ///< or as JSON lines
  std::string labelled;
  std::vector<LabelledColumn> columns = {LabelledColumn::kLabel, LabelledColumn::kSentence};
  bool header = false;
  std::string classes;  ///< a labels file whose classes are taken; empty: those of the input

  std::string output;                 ///< PREFIX
  std::string tokenizer_path;         ///< empty: train one
  std::string target_tokenizer_path;  ///< of pairs; empty: the source's, or one trained on the target
  bool separate_tokenizers = false;   ///< pairs: train one on each side
  TokenizerTrainingOptions training;
  bool overwrite = false;
  int num_threads = 1;
};

/// One of the token files that were written.
struct TokenFileSummary {
  std::string prefix;
  std::string tokenizer_path;
  std::string tokenizer_kind;
  int64_t vocab_size = 0;
  int64_t num_documents = 0;
  int64_t num_sequences = 0;
  int64_t num_tokens = 0;  ///< ends of documents included
  int64_t num_bytes = 0;   ///< of text
};

struct DatasetSummary {
  std::vector<TokenFileSummary> files;  ///< one; source and target
  int64_t num_empty = 0;                ///< documents left out, as they have no tokens
  bool ends_documents = false;
  std::vector<std::string> classes;  ///< of labelled sentences
};

/// Told from time to time: what is being done, how far (bytes of input).
using Progress = std::function<void(const char* what, int64_t bytes_done, int64_t bytes_total)>;

/// Reads texts, trains or loads the tokenizers, and writes the files of core/data/README.md. Texts of special
/// tokens inside a text are ordinary text. The output does not depend on the number of threads. On any error
/// nothing is written or lost. Throws IoError (kCannotCreate) when output exists already.
DatasetSummary make_dataset(const DatasetOptions& options, const Progress& progress);

}  // namespace trireme
