// `trireme prepare`
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include "core/base/error.h"
#include "core/base/parallel_tasks.h"
#include "core/data/text_documents.h"
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

void print_summary(const DatasetOptions& options, const DatasetSummary& summary) {
  if (::isatty(STDERR_FILENO)) std::cerr << "\r\033[K" << std::flush;
  std::cout << fmt::format("tokenizer  {}: {}, {} tokens{}\n", default_tokenizer_path(options.output),
                           summary.tokenizer_kind, summary.vocab_size,
                           summary.ends_documents ? "" : ", no end-of-document token");
  std::cout << fmt::format(
      "documents  {}{}\n", summary.num_documents,
      summary.num_empty == 0 ? "" : fmt::format(" ({} empty left out)", summary.num_empty));
  std::cout << fmt::format("tokens     {} in {}.bin, {:.2f} bytes of text a token\n", summary.num_tokens,
                           options.output,
                           static_cast<double>(summary.num_bytes) / static_cast<double>(summary.num_tokens));
}

/// Options that would be accepted and ignored are refused.
void check_options(const CLI::App& command, const DatasetOptions& options) {
  const auto refuse = [&](std::initializer_list<const char*> names, const char* why) {
    for (const char* name : names)
      if (command.count(name) > 0) throw ConfigError(fmt::format("{} {}", name, why));
  };
  if (options.output.empty() || options.output.ends_with('/'))
    throw ConfigError(fmt::format(
        "--output: given '{}', expected a folder and the first part of the files' names, such as data/book",
        options.output));
  const bool training = options.tokenizer_path.empty();
  if (!training)
    refuse({"--vocab-size", "--min-frequency", "--character-unit", "--end-of-document"},
           "is for training a tokenizer, but --tokenizer gives one");
  else if (options.train == TrainedTokenizer::kBpe)
    refuse({"--character-unit", "--end-of-document"}, "is for --train-tokenizer character");
  else
    refuse({"--vocab-size", "--min-frequency"}, "is for --train-tokenizer bpe");
  const auto& inputs = options.inputs;
  const auto is_folder = [](const std::string& path) { return std::filesystem::is_directory(path); };
  if (std::none_of(inputs.begin(), inputs.end(), is_folder)) {
    refuse({"--include"}, "chooses files in folders, but no --input is a folder");
    if (std::none_of(inputs.begin(), inputs.end(), is_jsonl))
      refuse({"--jsonl-key"}, "is for JSON lines, but no --input ends in .jsonl");
  }
}

}  // namespace

void add_prepare(CLI::App& app, CommandAction& action) {
  CLI::App& command =
      *app.add_subcommand("prepare", "Make a tokenizer and token files (.bin/.idx) from text");
  const auto options = std::make_shared<DatasetOptions>();
  options->num_threads = num_usable_cores();
  command
      .add_option("--input", options->inputs,
                  "Text files, .jsonl files or folders; a file or a JSON line is one document")
      ->required();
  command.add_option("--include", options->include, "Take only files of folders that match, such as '*.h'");
  command.add_option("--jsonl-key", options->jsonl_key, "Key of the text in the lines of .jsonl files")
      ->capture_default_str();
  command
      .add_option("--output", options->output,
                  "PREFIX: writes PREFIX.bin, PREFIX.idx and the folder PREFIX-tokenizer")
      ->required();
  CLI::Option* tokenizer = command.add_option(
      "--tokenizer", options->tokenizer_path,
      "Tokenizer to use: folder or file of tokenizer.json, or GPT-2's encoder.json and vocab.bpe");
  const auto train = std::make_shared<std::string>("bpe"), unit = std::make_shared<std::string>("code-point");
  command
      .add_option(
          "--train-tokenizer", *train,
          "Train one on the input: bpe (byte-level BPE) or character; done where --tokenizer is not given")
      ->check(CLI::IsMember({"bpe", "character"}))
      ->type_name("KIND")
      ->capture_default_str()
      ->excludes(tokenizer);
  command.add_option("--vocab-size", options->vocab_size, "Tokens of a trained BPE tokenizer")
      ->capture_default_str();
  command.add_option("--min-frequency", options->min_frequency, "BPE: merge only pairs seen this often")
      ->check(at_least(1))
      ->capture_default_str();
  command.add_option("--character-unit", *unit, "Character tokenizer: one token per code-point or per byte")
      ->check(CLI::IsMember({"code-point", "byte"}))
      ->type_name("UNIT")
      ->capture_default_str();
  command.add_flag("--end-of-document", options->end_of_document,
                   "Character tokenizer: add <|endoftext|> and close documents with it");
  command.add_option("--threads", options->num_threads, "Threads; the output does not depend on them")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_flag("--overwrite", options->overwrite, "Replace an existing data set");
  command.callback([&action, &command, options, train, unit] {
    options->train = *train == "bpe" ? TrainedTokenizer::kBpe : TrainedTokenizer::kCharacter;
    options->character_unit = *unit == "byte" ? CharacterUnit::kByte : CharacterUnit::kCodePoint;
    action = [&command, options] {
      check_options(command, *options);
      print_summary(*options, make_dataset(*options, show_progress));
      return ExitCode::kOk;
    };
  });
}

}  // namespace trireme
