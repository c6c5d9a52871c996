#include "core/text/wordpiece_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/text/vocabulary_reader.h"

namespace trireme {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

bool read_bool(const VocabularyReader& reader, const json& object, const char* key, bool absent) {
  const json& value = json_field(object, key);
  if (value.is_null()) return absent;
  if (!value.is_boolean()) reader.fail(fmt::format("{} is {}, expected true or false", key, value.dump()));
  return value.get<bool>();
}

/// What the files of Transformers' BERT say; strip_accents follows the case where it is null.
BertTextOptions read_text_options(const VocabularyReader& reader, const json& object, const char* lower_key,
                                  const char* cjk_key) {
  BertTextOptions text;
  text.lower_case = read_bool(reader, object, lower_key, true);
  text.strip_accents = read_bool(reader, object, "strip_accents", text.lower_case);
  text.space_cjk = read_bool(reader, object, cjk_key, true);
  return text;
}

void require_type(const VocabularyReader& reader, const json& root, const char* key, const char* expected) {
  if (const std::string type = json_type(json_field(root, key)); type != expected)
    reader.fail(fmt::format("{} is {}, expected {}", key, type, expected));
}

/// The post-processor may put [CLS] and [SEP] around one or two texts, or be none.
void check_post_processor(const VocabularyReader& reader, const json& root) {
  const json& processor = json_field(root, "post_processor");
  if (processor.is_null() || json_type(processor) == "BertProcessing") return;
  if (json_type(processor) != "TemplateProcessing")
    reader.fail(fmt::format("post_processor is {}, expected TemplateProcessing, BertProcessing or none",
                            json_type(processor)));
  const json& tokens = json_field(processor, "special_tokens");
  if (!tokens.is_object()) reader.fail("post_processor.special_tokens is not an object");
  for (const auto& [token, ids] : tokens.items())
    if (token != "[CLS]" && token != "[SEP]")
      reader.fail(fmt::format("post_processor adds '{}', expected [CLS] and [SEP] only", token));
}

}  // namespace

WordPieceVocabulary read_vocab_txt(const std::string& path) {
  const VocabularyReader reader(path);
  WordPieceVocabulary vocabulary;
  const std::string text = read_file(path);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string token = text.substr(begin, end - begin);
    begin = end + 1;
    if (!token.empty() && token.back() == '\r') token.pop_back();
    if (token.empty()) reader.fail(fmt::format("line {} is empty", vocabulary.tokens.size() + 1));
    vocabulary.tokens.push_back(std::move(token));
  }
  const std::string config = (fs::path(path).parent_path() / "tokenizer_config.json").string();
  std::error_code error;
  if (!fs::exists(config, error)) return vocabulary;
  const json root = parse_tokenizer_json(read_file(config), config);
  const VocabularyReader config_reader(config);
  if (!root.is_object()) config_reader.fail("not an object");
  vocabulary.text = read_text_options(config_reader, root, "do_lower_case", "tokenize_chinese_chars");
  return vocabulary;
}

WordPieceVocabulary parse_wordpiece_json(const json& root, const std::string& name) {
  VocabularyReader reader(name);
  for (const char* key : {"truncation", "padding"}) require_unset(reader, root, "", key);
  require_type(reader, root, "normalizer", "BertNormalizer");
  require_type(reader, root, "pre_tokenizer", "BertPreTokenizer");
  check_post_processor(reader, root);
  WordPieceVocabulary vocabulary;
  const json& normalizer = json_field(root, "normalizer");
  if (!normalizer.is_object()) reader.fail("normalizer is not an object");
  vocabulary.text = read_text_options(reader, normalizer, "lowercase", "handle_chinese_chars");
  vocabulary.text.clean_text = read_bool(reader, normalizer, "clean_text", true);

  const json& model = json_field(root, "model");
  const auto expect = [&](const char* key, const char* expected) {
    if (const json& value = json_field(model, key); value != expected)
      reader.fail(fmt::format("model.{} is {}, expected \"{}\"", key, value.dump(), expected));
  };
  expect("unk_token", "[UNK]");
  expect("continuing_subword_prefix", kWordPieceContinuation);
  const json& longest = json_field(model, "max_input_chars_per_word");
  if (!longest.is_number_unsigned() || longest == 0 || longest > INT32_MAX)
    reader.fail(
        fmt::format("model.max_input_chars_per_word is {}, expected a number of characters", longest.dump()));
  vocabulary.max_word_length = longest.get<int64_t>();

  const json& added = json_field(root, "added_tokens");
  if (!added.is_null() && !added.is_array()) reader.fail("added_tokens is not a list");
  reader.add_all(json_field(model, "vocab"), added.size());
  const std::vector<int32_t> special_ids = reader.add_special(root);
  vocabulary.tokens = reader.take();
  for (const int32_t id : special_ids)
    if (const std::string& token = vocabulary.tokens[id];
        std::find(std::begin(kWordPieceSpecials), std::end(kWordPieceSpecials), token) ==
        std::end(kWordPieceSpecials))
      reader.fail(fmt::format("special token '{}' is not supported; expected {}", token,
                              fmt::join(kWordPieceSpecials, ", ")));
  return vocabulary;
}

std::string to_hugging_face_json(const WordPieceVocabulary& vocabulary) {
  using nlohmann::ordered_json;
  const auto& tokens = vocabulary.tokens;
  const auto id_of = [&](const char* text) {
    return static_cast<int32_t>(std::find(tokens.begin(), tokens.end(), text) - tokens.begin());
  };
  const auto has = [&](const char* text) { return id_of(text) < static_cast<int32_t>(tokens.size()); };
  ordered_json added = ordered_json::array();
  for (const char* text : kWordPieceSpecials)
    if (has(text)) added.push_back(added_token_json(text, id_of(text)));
  const BertTextOptions& text = vocabulary.text;
  const ordered_json normalizer = {{"type", "BertNormalizer"},
                                   {"clean_text", text.clean_text},
                                   {"handle_chinese_chars", text.space_cjk},
                                   {"strip_accents", text.strip_accents},
                                   {"lowercase", text.lower_case}};
  ordered_json processor;
  if (has("[CLS]") && has("[SEP]"))
    processor = {{"type", "BertProcessing"},
                 {"sep", ordered_json::array({"[SEP]", id_of("[SEP]")})},
                 {"cls", ordered_json::array({"[CLS]", id_of("[CLS]")})}};
  return fmt::format(
      R"({{"version":"1.0","truncation":null,"padding":null,"added_tokens":{},"normalizer":{},)"
      R"("pre_tokenizer":{{"type":"BertPreTokenizer"}},"post_processor":{},)"
      R"("decoder":{{"type":"WordPiece","prefix":"##","cleanup":false}},)"
      R"("model":{{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",)"
      R"("max_input_chars_per_word":{},"vocab":{}}}}})"
      "\n",
      added.dump(), normalizer.dump(), processor.dump(), vocabulary.max_word_length, vocabulary_json(tokens));
}

}  // namespace trireme
