// `trireme tokenize`
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/tokenizer.h"
#include "launcher/commands/commands.h"

namespace trireme {
namespace {

std::vector<int32_t> parse_ids(const std::string& line) {
  const auto array = nlohmann::json::parse(line, nullptr, false);
  if (!array.is_array()) throw DataError("expected a JSON array of ids");
  std::vector<int32_t> ids;
  for (const auto& id : array) {
    if (!id.is_number_integer() || id < 0 || id > INT32_MAX)
      throw DataError(fmt::format("{} is no token id", id.is_primitive() ? id.dump() : id.type_name()));
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

ExitCode tokenize(const std::string& path, bool decode, SpecialTokens special) {
  const auto tokenizer = load_tokenizer(path);
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    try {
      if (decode)
        std::cout << tokenizer->decode(parse_ids(line), special) << '\n';
      else
        std::cout << fmt::format("[{}]\n", fmt::join(tokenizer->encode(line, special), ", "));
    } catch (const DataError& error) {
      throw DataError(fmt::format("standard input, line {}: {}", number, error.what()));
    }
    // Another program may wait for this line before it writes the next.
    if (!std::cout.flush()) throw IoError("standard output: writing failed");
  }
  if (std::cin.bad() || std::ferror(stdin)) throw IoError("standard input: reading failed");
  return ExitCode::kOk;
}

}  // namespace

void add_tokenize(CLI::App& app, CommandAction& action) {
  CLI::App& command =
      *app.add_subcommand("tokenize", "Lines of text to JSON arrays of token ids, or back with --decode");
  const auto path = std::make_shared<std::string>();
  const auto decode = std::make_shared<bool>(false), plain = std::make_shared<bool>(false);
  command
      .add_option("--tokenizer", *path,
                  "Folder or file of tokenizer.json, GPT-2's encoder.json and vocab.bpe, BERT's vocab.txt, "
                  "SentencePiece's "
                  ".model")
      ->required();
  command.add_flag("--decode", *decode, "JSON arrays of ids in, text out");
  command.add_flag(
      "--no-special-tokens", *plain,
      "Take texts such as <|endoftext|> as ordinary text; with --decode, leave special tokens out");
  command.callback([&action, path, decode, plain] {
    action = [=] {
      return tokenize(*path, *decode, *plain ? SpecialTokens::kIgnore : SpecialTokens::kParse);
    };
  });
}

}  // namespace trireme
