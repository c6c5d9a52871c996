// `trireme bleu --reference FILE --hypothesis FILE`
#include "core/metrics/bleu.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>

#include "core/base/error.h"
#include "launcher/commands/commands.h"

namespace trireme {
namespace {

struct BleuOptions {
  std::vector<std::string> references;
  std::string hypothesis;
  std::string tokenizer = name_of(BleuTokenizer::k13a);
  bool lowercase = false;
};

std::vector<std::string> read_lines(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw IoError(fmt::format("'{}' cannot be read", path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  if (stream.bad()) throw IoError(fmt::format("'{}': reading failed", path));
  return lines;
}

ExitCode score_files(const BleuOptions& options) {
  const BleuTokens tokens{options.tokenizer == "none" ? BleuTokenizer::kNone : BleuTokenizer::k13a,
                          options.lowercase};
  const std::vector<std::string> hypotheses = read_lines(options.hypothesis);
  std::vector<std::vector<std::string>> references;
  for (const std::string& path : options.references) {
    references.push_back(read_lines(path));
    if (references.back().size() != hypotheses.size())
      throw DataError(
          fmt::format("'{}' has {} lines, '{}' has {}; a line of one is the translation of the "
                      "same line of the other",
                      path, references.back().size(), options.hypothesis, hypotheses.size()));
  }
  BleuCounts counts;
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    std::vector<std::string> lines;
    for (const std::vector<std::string>& reference : references) lines.push_back(reference[i]);
    try {
      counts += count_bleu(hypotheses[i], lines, tokens);
    } catch (const DataError& error) {
      throw DataError(fmt::format("line {}: {}", i + 1, error.what()));
    }
  }
  fmt::print("BLEU|{} = {}\n", bleu_signature(references.size(), tokens), to_text(bleu_score(counts)));
  return ExitCode::kOk;
}

}  // namespace

void add_bleu(CLI::App& app, CommandAction& action) {
  CLI::App& command = *app.add_subcommand("bleu", "Corpus BLEU of a file of translations, as sacrebleu's");
  command.footer(
      "A segment a line, plain text. Several references: --reference more than once.\n\n"
      "  trireme bleu --reference test.en --hypothesis test.de.translated --lowercase");
  const auto options = std::make_shared<BleuOptions>();
  command.add_option("--reference", options->references, "Right translations")->required()->type_name("FILE");
  command.add_option("--hypothesis", options->hypothesis, "Translations to score")
      ->required()
      ->type_name("FILE");
  command.add_option("--tokenize", options->tokenizer, "13a, or none where the files hold tokens already")
      ->check(CLI::IsMember({"13a", "none"}))
      ->capture_default_str();
  command.add_flag("--lowercase", options->lowercase, "Lower case on both sides");
  command.callback([&action, options] { action = [options] { return score_files(*options); }; });
}

}  // namespace trireme
