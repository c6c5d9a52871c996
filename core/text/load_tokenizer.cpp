#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/text/bpe_files.h"
#include "core/text/character_tokenizer.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr std::pair<const char*, const char*> kGpt2Names[] = {{"encoder.json", "vocab.bpe"},
                                                              {"vocab.json", "merges.txt"}};

std::unique_ptr<Tokenizer> make_bpe(BpeVocabulary vocabulary, const std::string& name) {
  try {
    return std::make_unique<ByteLevelBpe>(std::move(vocabulary));
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}: {}", name, error.what()));
  }
}

std::unique_ptr<Tokenizer> load_gpt2(const fs::path& encoder, const fs::path& merges) {
  return make_bpe(read_gpt2_files(encoder.string(), merges.string()), encoder.string());
}

std::unique_ptr<Tokenizer> load_json(const std::string& path) {
  const std::string text = read_file(path);
  nlohmann::json root;
  try {
    root = nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format("{}: not JSON: {}", path, error.what()));
  }
  if (root.is_object() && root.contains("type") && root["type"] == "trireme-character")
    return parse_character_json(text, path);
  return make_bpe(parse_hugging_face_json(text, path), path);
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path) {
  const fs::path given(path);
  std::error_code error;
  if (!fs::is_directory(given, error)) {
    for (const auto& [encoder, merges] : kGpt2Names) {
      const fs::path folder = given.parent_path();
      if (given.filename() == encoder || given.filename() == merges)
        return load_gpt2(folder / encoder, folder / merges);
    }
    return load_json(path);
  }
  if (fs::exists(given / "tokenizer.json", error)) return load_json((given / "tokenizer.json").string());
  for (const auto& [encoder, merges] : kGpt2Names)
    if (fs::exists(given / encoder, error)) return load_gpt2(given / encoder, given / merges);
  throw DataError(fmt::format(
      "{}: holds no tokenizer; expected tokenizer.json, or encoder.json and vocab.bpe, in the folder", path));
}

}  // namespace trireme
