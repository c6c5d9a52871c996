#include "launcher/commands/make_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "core/base/error.h"
#include "core/base/parallel_tasks.h"
#include "core/data/indexed_dataset.h"
#include "core/data/indexed_dataset_writer.h"
#include "core/data/labels_file.h"
#include "core/data/text_documents.h"
#include "core/text/word_splitter.h"
#include "launcher/commands/dataset_files.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kBatchBytes = 32 << 20;  ///< text in memory at once, more only for a larger document
constexpr size_t kStretch = 1 << 20;       ///< text that one thread encodes at once

using Records = std::vector<TextRecord>;
using Ids = std::vector<int32_t>;

bool has_documents(DatasetKind kind) {
  return kind == DatasetKind::kDocuments || kind == DatasetKind::kSentences;
}

/// The files of the input, and passes over their records.
class Input {
 public:
  Input(const DatasetOptions& options, const Progress& progress) : options_(options), progress_(progress) {
    if (has_documents(options.kind)) files_ = list_text_files(options.inputs, options.include);
    if (options.kind == DatasetKind::kPairs && options.pairs.empty())
      files_ = list_text_files({options.source, options.target}, {});
    else if (options.kind == DatasetKind::kPairs)
      files_ = list_text_files({options.pairs}, {});
    if (options.kind == DatasetKind::kLabelled) files_ = list_text_files({options.labelled}, {});
    for (const std::string& file : files_) {
      std::error_code error;
      const auto size = fs::file_size(file, error);
      if (!error) total_bytes_ += static_cast<int64_t>(size);
    }
  }

  /// Calls body(records) for all records, batch by batch.
  template <class Body>
  void for_each_batch(const char* what, Body&& body) const {
    const auto reader = open();
    while (true) {
      progress_(what, std::min(reader->bytes_read(), total_bytes_), total_bytes_);
      const Records records = reader->next(kBatchBytes);
      if (records.empty()) return;
      body(records);
    }
  }
  void say(const char* what) const { progress_(what, total_bytes_, total_bytes_); }

 private:
  std::unique_ptr<TextRecordReader> open() const {
    if (has_documents(options_.kind))
      return read_documents(files_, options_.jsonl_key, options_.kind == DatasetKind::kSentences,
                            options_.num_threads);
    if (options_.kind == DatasetKind::kLabelled)
      return read_labelled_lines(options_.labelled, options_.columns, options_.header);
    return options_.pairs.empty() ? read_aligned_lines(options_.source, options_.target)
                                  : read_json_pairs(options_.pairs);
  }

  const DatasetOptions& options_;
  const Progress& progress_;
  std::vector<std::string> files_;
  int64_t total_bytes_ = 0;
};

/// The tokenizers: one, or one for each side of the pairs.
std::vector<std::unique_ptr<Tokenizer>> make_tokenizers(const DatasetOptions& options, const Input& input) {
  const bool has_two = options.separate_tokenizers || !options.target_tokenizer_path.empty();
  std::vector<std::unique_ptr<Tokenizer>> tokenizers(has_two ? 2 : 1);
  std::vector<std::unique_ptr<TokenizerTraining>> training(tokenizers.size());
  for (size_t side = 0; side < tokenizers.size(); ++side) {
    const std::string& path = side == 0 ? options.tokenizer_path : options.target_tokenizer_path;
    if (path.empty())
      training[side] = make_training(options.training);
    else
      tokenizers[side] = load_tokenizer(path);
  }
  if (std::all_of(tokenizers.begin(), tokenizers.end(), [](const auto& made) { return made != nullptr; }))
    return tokenizers;
  input.for_each_batch("reading for the tokenizer", [&](const Records& records) {
    for (size_t side = 0; side < training.size(); ++side) {
      if (training[side] == nullptr) continue;
      std::vector<PlacedText> texts;
      for (const TextRecord& record : records)
        for (size_t i = 0; i < record.texts.size(); ++i)
          if (!has_two || i == side) texts.push_back({record.texts[i], record.place});
      training[side]->add(texts);
    }
  });
  input.say("training the tokenizer");
  for (size_t side = 0; side < training.size(); ++side)
    if (training[side] != nullptr) tokenizers[side] = training[side]->train();
  return tokenizers;
}

/// The tokens of each text of each record.
class Encoder {
 public:
  Encoder(const std::vector<std::unique_ptr<Tokenizer>>& tokenizers, int num_threads)
      : tokenizers_(tokenizers), num_threads_(num_threads) {}

  std::vector<std::vector<Ids>> encode(const Records& records) const {
    struct Part {
      size_t record, text;
      std::string_view view;
      Ids ids;
    };
    std::vector<Part> parts;
    for (size_t r = 0; r < records.size(); ++r)
      for (size_t t = 0; t < records[r].texts.size(); ++t) {
        const std::string& text = records[r].texts[t];
        if (tokenizer(t).may_be_cut())
          for (const std::string_view view : cut_between_words(text, kStretch))
            parts.push_back({r, t, view, {}});
        else
          parts.push_back({r, t, text, {}});
      }
    run_tasks(static_cast<int64_t>(parts.size()), num_threads_, [&](int64_t index, int) {
      Part& part = parts[static_cast<size_t>(index)];
      part.ids = encode_part(records[part.record], part.text, part.view);
    });
    std::vector<std::vector<Ids>> encoded;
    for (const TextRecord& record : records) encoded.emplace_back(record.texts.size());
    for (const Part& part : parts) {
      Ids& ids = encoded[part.record][part.text];
      ids.insert(ids.end(), part.ids.begin(), part.ids.end());
    }
    return encoded;
  }

 private:
  const Tokenizer& tokenizer(size_t text) const { return *tokenizers_[tokenizers_.size() == 1 ? 0 : text]; }

  Ids encode_part(const TextRecord& record, size_t text, std::string_view view) const {
    try {
      return tokenizer(text).encode(view, SpecialTokens::kIgnore);
    } catch (const DataError& error) {
      const auto begin = view.data() - record.texts[text].data();
      throw DataError(fmt::format("{}{}: {}", record.place,
                                  begin == 0 ? "" : fmt::format(", text from byte {} on", begin),
                                  error.what()));
    }
  }

  const std::vector<std::unique_ptr<Tokenizer>>& tokenizers_;
  int num_threads_;
};

/// Collects labels, and numbers their classes at the end: in the order of their numbers where all are
/// numbers, else of their bytes; or as a given file has them.
class LabelCollector {
 public:
  explicit LabelCollector(const std::string& classes_path) {
    if (classes_path.empty()) return;
    given_ = read_labels(classes_path).classes;
    allowed_.insert(given_.begin(), given_.end());
  }

  void add(const TextRecord& record) {
    if (!given_.empty() && !allowed_.contains(record.label))
      throw DataError(fmt::format("{}: the label '{}' is not among the classes {}", record.place,
                                  record.label, fmt::join(given_, ", ")));
    if (given_.empty()) allowed_.insert(record.label);
    names_.push_back(record.label);
  }

  Labels finish() const {
    Labels result;
    result.classes = given_.empty() ? sorted() : given_;
    std::map<std::string, int32_t> numbers;
    for (const std::string& name : result.classes)
      numbers.emplace(name, static_cast<int32_t>(numbers.size()));
    for (const std::string& name : names_) result.labels.push_back(numbers.at(name));
    return result;
  }

 private:
  std::vector<std::string> sorted() const {
    std::vector<std::pair<int64_t, std::string>> classes;
    bool all_numbers = true;
    for (const std::string& name : allowed_) {
      int64_t number = 0;
      const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
      all_numbers = all_numbers && error == std::errc() && end == name.data() + name.size();
      classes.emplace_back(number, name);
    }
    if (all_numbers) std::sort(classes.begin(), classes.end());
    std::vector<std::string> names;
    for (const auto& [number, name] : classes) names.push_back(name);
    return names;
  }

  std::vector<std::string> given_;
  std::set<std::string> allowed_;
  std::vector<std::string> names_;  ///< of the examples
};

/// The token files of a data set while they are written.
class Output {
 public:
  Output(const DatasetOptions& options, const std::vector<std::unique_ptr<Tokenizer>>& tokenizers)
      : kind_(options.kind), end_(tokenizers[0]->end_of_document_id()), labels_(options.classes) {
    const std::string& prefix = options.output;
    const auto prefixes = kind_ == DatasetKind::kPairs
                              ? std::vector<std::string>{source_prefix(prefix), target_prefix(prefix)}
                              : std::vector<std::string>{prefix};
    for (size_t side = 0; side < prefixes.size(); ++side) {
      const size_t which = std::min(side, tokenizers.size() - 1);
      const Tokenizer& tokenizer = *tokenizers[which];
      writers_.push_back(std::make_unique<IndexedDatasetWriter>(prefixes[side], tokenizer.vocab_size()));
      TokenFileSummary file;
      file.prefix = prefixes[side];
      file.tokenizer_path =
          which == 0 ? default_tokenizer_path(prefix) : default_target_tokenizer_path(prefix);
      file.tokenizer_kind = tokenizer.kind();
      file.vocab_size = tokenizer.vocab_size();
      summary_.files.push_back(file);
    }
    summary_.ends_documents = kind_ == DatasetKind::kDocuments && end_;
  }

  void add(const TextRecord& record, std::vector<Ids>& texts) {
    if (kind_ == DatasetKind::kLabelled) labels_.add(record);
    if (has_documents(kind_)) {
      std::erase_if(texts, [](const Ids& ids) { return ids.empty(); });
      if (texts.empty()) {
        ++summary_.num_empty;
        return;
      }
    }
    if (summary_.ends_documents) texts.back().push_back(*end_);
    const bool pairs = kind_ == DatasetKind::kPairs;
    for (size_t i = 0; i < texts.size(); ++i) writers_[pairs ? i : 0]->add_sequence(texts[i]);
    for (auto& writer : writers_) writer->end_document();
    for (size_t i = 0; i < record.texts.size(); ++i)
      summary_.files[pairs ? i : 0].num_bytes += static_cast<int64_t>(record.texts[i].size());
  }

  /// Throws DataError when nothing was added.
  DatasetSummary summarize() {
    for (size_t side = 0; side < writers_.size(); ++side) {
      if (writers_[side]->num_tokens() == 0) throw DataError("the input has no text");
      summary_.files[side].num_documents = writers_[side]->num_documents();
      summary_.files[side].num_sequences = writers_[side]->num_sequences();
      summary_.files[side].num_tokens = writers_[side]->num_tokens();
    }
    if (kind_ == DatasetKind::kLabelled) summary_.classes = labels_.finish().classes;
    return summary_;
  }

  void commit(const std::string& prefix) {
    if (kind_ == DatasetKind::kLabelled) write_labels(labels_path(prefix), labels_.finish());
    for (auto& writer : writers_) writer->commit();
  }

 private:
  DatasetKind kind_;
  std::optional<int32_t> end_;
  LabelCollector labels_;
  std::vector<std::unique_ptr<IndexedDatasetWriter>> writers_;
  DatasetSummary summary_;
};

}  // namespace

DatasetSummary make_dataset(const DatasetOptions& options, const Progress& progress) {
  if (!options.overwrite) refuse_existing_dataset(options.output);
  const Input input(options, progress);
  const auto tokenizers = make_tokenizers(options, input);
  make_parent_folder(options.output);

  Output output(options, tokenizers);
  const Encoder encoder(tokenizers, options.num_threads);
  input.for_each_batch("encoding", [&](const Records& records) {
    auto encoded = encoder.encode(records);
    for (size_t i = 0; i < records.size(); ++i) output.add(records[i], encoded[i]);
  });
  const DatasetSummary summary = output.summarize();

  std::vector<std::unique_ptr<NewFolder>> folders;
  for (size_t side = 0; side < tokenizers.size(); ++side) {
    folders.push_back(std::make_unique<NewFolder>(side == 0 ? default_tokenizer_path(options.output)
                                                            : default_target_tokenizer_path(options.output)));
    tokenizers[side]->save(folders.back()->path());
  }
  // From here on the old data set, if any, is given up; the new index comes last.
  remove_dataset(options.output);
  for (const auto& folder : folders) folder->put_in_place();
  output.commit(options.output);
  return summary;
}

}  // namespace trireme
