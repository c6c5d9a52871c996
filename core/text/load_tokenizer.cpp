#include <fmt/format.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/text/bpe_files.h"
#include "core/text/character_tokenizer.h"
#include "core/text/sentencepiece_tokenizer.h"
#include "core/text/vocabulary_reader.h"
#include "core/text/wordpiece_files.h"
#include "core/text/words_tokenizer.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using TokenizerPtr = std::unique_ptr<Tokenizer>;

constexpr std::pair<const char*, const char*> kGpt2Names[] = {{"encoder.json", "vocab.bpe"},
                                                              {"vocab.json", "merges.txt"}};

/// The tokenizer of a vocabulary that was read from the file `name`.
template <class Kind, class Vocabulary>
TokenizerPtr make(Vocabulary vocabulary, const std::string& name) {
  try {
    return std::make_unique<Kind>(std::move(vocabulary));
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}: {}", name, error.what()));
  }
}

TokenizerPtr load_gpt2(const fs::path& encoder, const fs::path& merges) {
  return make<ByteLevelBpe>(read_gpt2_files(encoder.string(), merges.string()), encoder.string());
}

TokenizerPtr load_json(const std::string& path) {
  const nlohmann::json root = parse_tokenizer_json(read_file(path), path);
  if (!root.is_object()) throw DataError(path + ": not an object; expected a tokenizer.json");
  if (json_type(root) == "trireme-character") return parse_character_json(root, path);
  if (json_type(root) == "trireme-words") return parse_words_json(root, path);
  if (json_type(json_field(root, "model")) == "WordPiece")
    return make<WordPieceTokenizer>(parse_wordpiece_json(root, path), path);
  return make<ByteLevelBpe>(parse_hugging_face_json(root, path), path);
}

TokenizerPtr load_vocab_txt(const std::string& path) {
  return make<WordPieceTokenizer>(read_vocab_txt(path), path);
}

TokenizerPtr load_sentencepiece(const std::string& path) {
  std::string model = read_file(path);
  try {
    return SentencePieceTokenizer::parse(std::move(model));
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}: {}", path, error.what()));
  }
}

TokenizerPtr load_file(const fs::path& file) {
  for (const auto& [encoder, merges] : kGpt2Names)
    if (file.filename() == encoder || file.filename() == merges)
      return load_gpt2(file.parent_path() / encoder, file.parent_path() / merges);
  if (file.extension() == ".txt") return load_vocab_txt(file.string());
  if (file.extension() == ".model" || file.extension() == ".spm") return load_sentencepiece(file.string());
  return load_json(file.string());
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return load_file(path);
  for (const char* name : {"tokenizer.json", "encoder.json", "vocab.json", "vocab.txt", "tokenizer.model"})
    if (fs::exists(fs::path(path) / name, error)) return load_file(fs::path(path) / name);
  throw DataError(fmt::format(
      "{}: holds no tokenizer; expected tokenizer.json, encoder.json and vocab.bpe, or vocab.txt, in "
      "the folder",
      path));
}

}  // namespace trireme
