// `trireme prepare`
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "core/base/error.h"
#include "core/base/parallel_tasks.h"
#include "core/data/text_documents.h"
#include "core/text/tokenizer.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/make_dataset.h"
#include "launcher/commands/usage.h"

namespace trireme {
namespace {

/// A line that rewrites itself, where a person watches.
void show_progress(const char* what, int64_t done, int64_t total) {
  if (!::isatty(STDERR_FILENO)) return;
  std::cerr << fmt::format("\r\033[K{}: {:.0f} of {:.0f} MB", what, static_cast<double>(done) / 1e6,
                           static_cast<double>(total) / 1e6)
            << std::flush;
}

void print_tokens(const TokenFileSummary& file) {
  std::cout << fmt::format("tokens     {} in {}.bin, {:.2f} bytes of text a token\n", file.num_tokens,
                           file.prefix,
                           static_cast<double>(file.num_bytes) / static_cast<double>(file.num_tokens));
}

void print_summary(const DatasetOptions& options, const DatasetSummary& summary) {
  if (::isatty(STDERR_FILENO)) std::cerr << "\r\033[K" << std::flush;
  const bool misses_end = options.kind == DatasetKind::kDocuments && !summary.ends_documents;
  std::string last;
  for (const TokenFileSummary& file : summary.files) {
    if (file.tokenizer_path != last)
      std::cout << fmt::format("tokenizer  {}: {}, {} tokens{}\n", file.tokenizer_path, file.tokenizer_kind,
                               file.vocab_size, misses_end ? ", no end-of-document token" : "");
    last = file.tokenizer_path;
  }
  const TokenFileSummary& first = summary.files.front();
  const std::string empty =
      summary.num_empty == 0 ? "" : fmt::format(" ({} empty left out)", summary.num_empty);
  if (options.kind == DatasetKind::kPairs)
    std::cout << fmt::format("pairs      {}\n", first.num_documents);
  else if (options.kind == DatasetKind::kLabelled)
    std::cout << fmt::format("examples   {} of the classes {}\n", first.num_documents,
                             fmt::join(summary.classes, ", "));
  else
    std::cout << fmt::format("documents  {}{}\n", first.num_documents, empty);
  if (options.kind == DatasetKind::kSentences)
    std::cout << fmt::format("sentences  {}\n", first.num_sequences);
  for (const TokenFileSummary& file : summary.files) print_tokens(file);
}

/// An option that only means something beside others.
struct Condition {
  std::initializer_list<const char*> names;
  bool holds;
  const char* otherwise;  ///< what to say of a name that was given all the same
};

bool is_any(TrainedTokenizer kind, std::initializer_list<TrainedTokenizer> kinds) {
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

/// Options that would be accepted and ignored are refused.
void check_conditions(const CLI::App& command, const DatasetOptions& options) {
  using enum TrainedTokenizer;
  const bool training = options.tokenizer_path.empty();
  const TrainedTokenizer kind = options.training.kind;
  const auto& inputs = options.inputs;
  const auto is_folder = [](const std::string& path) { return std::filesystem::is_directory(path); };
  const bool has_folder = std::any_of(inputs.begin(), inputs.end(), is_folder);
  const Condition table[] = {
      {{"--vocab-size", "--min-frequency", "--character-unit", "--end-of-document", "--keep-case",
        "--keep-accents", "--max-word-length", "--sentencepiece-model"},
       training,
       "is for training a tokenizer, but --tokenizer gives one"},
      {{"--character-unit", "--end-of-document"}, kind == kCharacter, "is for --train-tokenizer character"},
      {{"--vocab-size"},
       kind != kCharacter,
       "is for --train-tokenizer bpe, wordpiece, words or sentencepiece"},
      {{"--min-frequency"},
       is_any(kind, {kBpe, kWordPiece, kWords}),
       "is for --train-tokenizer bpe, wordpiece or words"},
      {{"--keep-case"}, is_any(kind, {kWordPiece, kWords}), "is for --train-tokenizer wordpiece or words"},
      {{"--keep-accents", "--max-word-length"}, kind == kWordPiece, "is for --train-tokenizer wordpiece"},
      {{"--sentencepiece-model"}, kind == kSentencePiece, "is for --train-tokenizer sentencepiece"},
      {{"--include"}, has_folder, "chooses files in folders, but no --input is a folder"},
      {{"--jsonl-key"},
       has_folder || std::any_of(inputs.begin(), inputs.end(), is_jsonl),
       "is for JSON lines, but no --input ends in .jsonl"},
      {{"--sentences"}, !inputs.empty(), "is for --input"},
      {{"--target-tokenizer", "--separate-tokenizers"},
       options.kind == DatasetKind::kPairs,
       "is for --source and --target, or --pairs"},
      {{"--columns", "--header", "--classes"}, options.kind == DatasetKind::kLabelled, "is for --labelled"},
  };
  for (const auto& [names, holds, otherwise] : table)
    for (const char* name : names)
      if (!holds && command.count(name) > 0) throw ConfigError(fmt::format("{} {}", name, otherwise));
}

/// What kind of data set the given inputs make.
DatasetKind kind_of(const CLI::App& command, bool sentences) {
  if ((command.count("--source") > 0) != (command.count("--target") > 0))
    throw ConfigError(
        "--source and --target belong together: line i of one is the translation of line i of the other");
  const int given =
      static_cast<int>(command.count("--input") > 0) + static_cast<int>(command.count("--source") > 0) +
      static_cast<int>(command.count("--pairs") > 0) + static_cast<int>(command.count("--labelled") > 0);
  if (given != 1)
    throw ConfigError(fmt::format(
        "{} inputs were given; expected one of --input, --source with --target, --pairs, --labelled", given));
  if (command.count("--labelled") > 0) return DatasetKind::kLabelled;
  if (command.count("--input") == 0) return DatasetKind::kPairs;
  return sentences ? DatasetKind::kSentences : DatasetKind::kDocuments;
}

void check_output(const std::string& output) {
  if (output.empty() || output.ends_with('/'))
    throw ConfigError(fmt::format(
        "--output: given '{}', expected a folder and the first part of the files' names, such as data/book",
        output));
}

const std::map<std::string, LabelledColumn> kColumns = {{"label", LabelledColumn::kLabel},
                                                        {"sentence", LabelledColumn::kSentence},
                                                        {"pair", LabelledColumn::kPair},
                                                        {"-", LabelledColumn::kIgnored}};
const std::map<std::string, TrainedTokenizer> kTokenizers = {
    {"bpe", TrainedTokenizer::kBpe},
    {"character", TrainedTokenizer::kCharacter},
    {"wordpiece", TrainedTokenizer::kWordPiece},
    {"words", TrainedTokenizer::kWords},
    {"sentencepiece", TrainedTokenizer::kSentencePiece}};
const std::map<std::string, CharacterUnit> kUnits = {{"code-point", CharacterUnit::kCodePoint},
                                                     {"byte", CharacterUnit::kByte}};
const std::map<std::string, SentencePieceModel> kModels = {{"unigram", SentencePieceModel::kUnigram},
                                                           {"bpe", SentencePieceModel::kBpe}};

/// An option whose value is one of the names of a table.
template <class Value>
CLI::Option* add_choice(CLI::App& command, const char* name, Value& value,
                        const std::map<std::string, Value>& table, const char* type_name,
                        const std::string& help, const char* default_name) {
  std::vector<std::string> names;
  for (const auto& [key, unused] : table) names.push_back(key);
  return command
      .add_option_function<std::string>(
          name, [&value, &table](const std::string& key) { value = table.at(key); }, help)
      ->check(CLI::IsMember(names))
      ->type_name(type_name)
      ->default_str(default_name);
}

void add_input_options(CLI::App& command, DatasetOptions& options, bool& sentences) {
  command.add_option("--input", options.inputs,
                     "Text files, .jsonl files or folders; a file or a JSON line is one document");
  command.add_option("--include", options.include, "Take only files of folders that match, such as '*.h'");
  command.add_option("--jsonl-key", options.jsonl_key, "Key of the text in the lines of .jsonl files")
      ->capture_default_str();
  command.add_flag("--sentences", sentences,
                   "A line is a sentence and kept as one; a blank line ends a document (BERT)");
  command.add_option("--source", options.source, "Pairs: the source sentences, one a line")
      ->type_name("FILE");
  command.add_option("--target", options.target, "Pairs: their translations, one a line")->type_name("FILE");
  command.add_option("--pairs", options.pairs, "Pairs: JSON lines {\"source\": ..., \"target\": ...}")
      ->type_name("FILE");
  command
      .add_option("--labelled", options.labelled, "Labelled sentences: a table with tabs between the columns")
      ->type_name("FILE");
  command
      .add_option_function<std::vector<std::string>>(
          "--columns",
          [&options](const std::vector<std::string>& names) {
            options.columns.clear();
            for (const std::string& name : names) options.columns.push_back(kColumns.at(name));
          },
          "Its columns: label, sentence, pair (the second sentence), - (not used)")
      ->delimiter(',')
      ->check(CLI::IsMember({"label", "sentence", "pair", "-"}))
      ->type_name("NAME,...")
      ->default_str("label,sentence");
  command.add_flag("--header", options.header, "Its first line names the columns");
  command
      .add_option("--classes", options.classes, "PREFIX.labels of another part of the data: take its classes")
      ->type_name("FILE");
}

void add_tokenizer_options(CLI::App& command, DatasetOptions& options) {
  TokenizerTrainingOptions& training = options.training;
  CLI::Option* tokenizer = command.add_option(
      "--tokenizer", options.tokenizer_path,
      "Tokenizer to use: folder or file of tokenizer.json, GPT-2's encoder.json and vocab.bpe, BERT's "
      "vocab.txt, SentencePiece's .model");
  CLI::Option* target = command
                            .add_option("--target-tokenizer", options.target_tokenizer_path,
                                        "Pairs: tokenizer of the target; else one serves both")
                            ->needs(tokenizer);
  command.add_flag("--separate-tokenizers", options.separate_tokenizers, "Pairs: train one for each side")
      ->excludes(tokenizer)
      ->excludes(target);
  add_choice(command, "--train-tokenizer", training.kind, kTokenizers, "KIND",
             "Train one on the input: bpe (byte-level BPE), character, wordpiece (BERT's), words or "
             "sentencepiece; done "
             "where --tokenizer is not given",
             "bpe")
      ->excludes(tokenizer);
  command
      .add_option("--vocab-size", training.vocab_size,
                  "Tokens of a trained tokenizer [8192; words: all that are frequent enough]")
      ->type_name("INT");
  command
      .add_option("--min-frequency", training.min_frequency,
                  "BPE, WordPiece: merge only pairs seen this often; words: keep those seen this often")
      ->check(at_least(1))
      ->capture_default_str();
  add_choice(command, "--character-unit", training.character_unit, kUnits, "UNIT",
             "Character tokenizer: one token per code-point or per byte", "code-point");
  command.add_flag("--end-of-document", training.end_of_document,
                   "Character tokenizer: add <|endoftext|> and close documents with it");
  command.add_flag("--keep-case", training.keep_case, "WordPiece, words: tell upper from lower case");
  command.add_flag("--keep-accents", training.keep_accents, "WordPiece: keep accents in lower case");
  command.add_option("--max-word-length", training.max_word_length, "WordPiece: longer words are [UNK]")
      ->check(at_least(1))
      ->capture_default_str();
  add_choice(command, "--sentencepiece-model", training.sentencepiece_model, kModels, "MODEL",
             "SentencePiece: unigram or bpe", "unigram");
}

}  // namespace

void add_prepare(CLI::App& app, CommandAction& action) {
  CLI::App& command =
      *app.add_subcommand("prepare", "Make a tokenizer and token files (.bin/.idx) from text");
  command.footer(
      "Files whose names end in .gz are unpacked.\n\n"
      "  trireme prepare --input book.txt --vocab-size 8192 --output data/book\n"
      "  trireme prepare --input wiki.txt --sentences --train-tokenizer wordpiece --output data/wiki\n"
      "  trireme prepare --source train.de.gz --target train.en.gz --train-tokenizer words "
      "--separate-tokenizers "
      "--output data/train\n"
      "  trireme prepare --labelled dev.tsv --columns sentence,label --tokenizer data/train-tokenizer "
      "--output data/dev");
  const auto options = std::make_shared<DatasetOptions>();
  const auto sentences = std::make_shared<bool>(false);
  options->num_threads = num_usable_cores();
  add_input_options(command, *options, *sentences);
  command
      .add_option(
          "--output", options->output,
          "PREFIX: writes PREFIX.bin, PREFIX.idx and the folder PREFIX-tokenizer; pairs: PREFIX.source.bin, "
          "PREFIX.target.bin, ...; labelled: also PREFIX.labels")
      ->required();
  add_tokenizer_options(command, *options);
  command.add_option("--threads", options->num_threads, "Threads; the output does not depend on them")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_flag("--overwrite", options->overwrite, "Replace an existing data set");
  command.callback([&action, &command, options, sentences] {
    action = [&command, options, sentences] {
      check_output(options->output);
      options->kind = kind_of(command, *sentences);
      options->training.num_threads = options->num_threads;
      check_conditions(command, *options);
      print_summary(*options, make_dataset(*options, show_progress));
      return ExitCode::kOk;
    };
  });
}

}  // namespace trireme
