#include "launcher/commands/make_dataset.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "core/base/error.h"
#include "core/base/parallel_tasks.h"
#include "core/data/indexed_dataset.h"
#include "core/data/indexed_dataset_writer.h"
#include "core/data/text_documents.h"
#include "core/text/bpe_trainer.h"
#include "core/text/word_splitter.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kBatchBytes = 32 << 20;  ///< text in memory at once, more only for a larger document
constexpr size_t kStretch = 1 << 20;       ///< text that one thread encodes at once

/// Texts of documents with where they came from; the empty ones are left out.
struct Texts {
  std::vector<std::string> texts;
  std::vector<std::string> places;
  int64_t num_empty = 0;
};

class DatasetMaker {
 public:
  DatasetMaker(const DatasetOptions& options, const Progress& progress)
      : options_(options), progress_(progress), files_(list_text_files(options.inputs, options.include)) {
    for (const std::string& file : files_) {
      std::error_code error;
      const auto size = fs::file_size(file, error);
      if (!error) total_bytes_ += static_cast<int64_t>(size);
    }
  }

  std::unique_ptr<Tokenizer> tokenizer() const {
    if (!options_.tokenizer_path.empty()) return load_tokenizer(options_.tokenizer_path);
    if (options_.train == TrainedTokenizer::kCharacter) {
      CharacterTrainer trainer(options_.character_unit);
      for_each_batch("reading characters", [&](const Texts& batch) {
        for (size_t i = 0; i < batch.texts.size(); ++i)
          at_place(batch.places[i], [&] { trainer.add(batch.texts[i]); });
      });
      return trainer.train(options_.end_of_document);
    }
    BpeTrainer trainer({.vocab_size = options_.vocab_size,
                        .min_frequency = options_.min_frequency,
                        .num_threads = options_.num_threads});
    for_each_batch("counting words", [&](const Texts& batch) {
      trainer.add(std::vector<std::string_view>(batch.texts.begin(), batch.texts.end()));
    });
    progress_("training the tokenizer", total_bytes_, total_bytes_);
    return std::make_unique<ByteLevelBpe>(trainer.train());
  }

  void encode(const Tokenizer& tokenizer, IndexedDatasetWriter& writer, DatasetSummary& summary) const {
    for_each_batch("encoding", [&](const Texts& batch) {
      summary.num_empty += batch.num_empty;
      encode_batch(batch, tokenizer, writer, summary);
    });
  }

 private:
  template <class Body>
  static void at_place(const std::string& place, Body&& body) {
    try {
      body();
    } catch (const DataError& error) {
      throw DataError(fmt::format("{}: {}", place, error.what()));
    }
  }

  template <class Body>
  void for_each_batch(const char* what, Body&& body) const {
    DocumentReader reader(files_);
    while (true) {
      progress_(what, reader.bytes_read(), total_bytes_);
      const auto documents = reader.next(kBatchBytes);
      if (documents.empty()) return;
      body(parse(documents));
    }
  }

  Texts parse(const std::vector<RawDocument>& documents) const {
    Texts all;
    all.texts.resize(documents.size());
    run_tasks(static_cast<int64_t>(documents.size()), options_.num_threads,
              [&](int64_t i, int) { all.texts[i] = documents[i].text(options_.jsonl_key); });
    Texts kept;
    for (size_t i = 0; i < documents.size(); ++i) {
      if (all.texts[i].empty()) {
        ++kept.num_empty;
        continue;
      }
      kept.texts.push_back(std::move(all.texts[i]));
      kept.places.push_back(documents[i].place);
    }
    return kept;
  }

  void encode_batch(const Texts& batch, const Tokenizer& tokenizer, IndexedDatasetWriter& writer,
                    DatasetSummary& summary) const {
    struct Part {
      size_t document;
      std::string_view text;
      std::vector<int32_t> ids;
    };
    std::vector<Part> parts;
    for (size_t i = 0; i < batch.texts.size(); ++i)
      for (const std::string_view text : cut_between_words(batch.texts[i], kStretch))
        parts.push_back({i, text, {}});
    run_tasks(static_cast<int64_t>(parts.size()), options_.num_threads, [&](int64_t index, int) {
      Part& part = parts[index];
      const auto begin = part.text.data() - batch.texts[part.document].data();
      const std::string& place = batch.places[part.document];
      at_place(begin == 0 ? place : fmt::format("{}, text from byte {} on", place, begin),
               [&] { part.ids = tokenizer.encode(part.text, SpecialTokens::kIgnore); });
    });
    std::vector<int32_t> ids;
    for (size_t i = 0; i < parts.size(); ++i) {
      ids.insert(ids.end(), parts[i].ids.begin(), parts[i].ids.end());
      if (i + 1 < parts.size() && parts[i + 1].document == parts[i].document) continue;
      if (tokenizer.end_of_document_id()) ids.push_back(*tokenizer.end_of_document_id());
      writer.add_document(ids);
      summary.num_bytes += static_cast<int64_t>(batch.texts[parts[i].document].size());
      ids.clear();
    }
  }

  const DatasetOptions& options_;
  const Progress& progress_;
  std::vector<std::string> files_;
  int64_t total_bytes_ = 0;
};

/// Removes a folder at the end of its scope, if it is still there.
struct FolderGuard {
  explicit FolderGuard(std::string folder) : path(std::move(folder)) {}
  ~FolderGuard() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  FolderGuard(const FolderGuard&) = delete;
  FolderGuard& operator=(const FolderGuard&) = delete;
  std::string path;
};

void refuse_existing(const DatasetOptions& options) {
  if (options.overwrite) return;
  for (const std::string& path :
       {bin_path(options.output), idx_path(options.output), default_tokenizer_path(options.output)}) {
    std::error_code error;
    if (fs::exists(path, error))
      throw IoError(fmt::format("{} exists already; give another --output, or --overwrite", path),
                    ExitCode::kCannotCreate);
  }
}

void make_parent_folder(const std::string& prefix) {
  const fs::path parent = fs::path(prefix).parent_path();
  std::error_code error;
  if (!parent.empty()) fs::create_directories(parent, error);
  if (error)
    throw IoError(fmt::format("{}: cannot make the folder: {}", parent.string(), error.message()),
                  ExitCode::kCannotCreate);
}

}  // namespace

DatasetSummary make_dataset(const DatasetOptions& options, const Progress& progress) {
  refuse_existing(options);
  const DatasetMaker maker(options, progress);
  const auto tokenizer = maker.tokenizer();
  make_parent_folder(options.output);

  DatasetSummary summary;
  IndexedDatasetWriter writer(options.output, tokenizer->vocab_size());
  maker.encode(*tokenizer, writer, summary);
  if (writer.num_documents() == 0) throw DataError("the input has no text");
  summary.tokenizer_kind = tokenizer->kind();
  summary.vocab_size = tokenizer->vocab_size();
  summary.num_documents = writer.num_documents();
  summary.num_tokens = writer.num_tokens();
  summary.ends_documents = tokenizer->end_of_document_id().has_value();

  const std::string final_folder = default_tokenizer_path(options.output);
  const FolderGuard temporary(fmt::format("{}.tmp-{}", final_folder, ::getpid()));
  tokenizer->save(temporary.path);
  // From here on the old data set, if any, is given up: its index goes first, the new one comes last.
  std::error_code error;
  fs::remove(idx_path(options.output), error);
  fs::remove_all(final_folder, error);
  fs::rename(temporary.path, final_folder, error);
  if (error) throw IoError(fmt::format("{}: renaming into place failed: {}", final_folder, error.message()));
  writer.commit();
  return summary;
}

}  // namespace trireme
