#include "core/text/bpe_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/text/byte_symbols.h"
#include "core/text/vocabulary_reader.h"

namespace trireme {
namespace {

using nlohmann::json;

/// The merges and tokens of a vocabulary written in byte symbols.
class BpeReader : public VocabularyReader {
 public:
  using VocabularyReader::VocabularyReader;

  void add_merge(const std::string& left, const std::string& right) {
    const auto first = find(left), second = find(right);
    if (!first || !second)
      fail(fmt::format("merge {} joins '{}', which is not in the vocabulary", merges_.size(),
                       first ? right : left));
    merges_.emplace_back(*first, *second);
  }
  /// "left right"
  void add_merge(const std::string& line) {
    const size_t space = line.find(' ');
    if (space == std::string::npos || space == 0 || space + 1 == line.size() ||
        line.find(' ', space + 1) != std::string::npos)
      fail(fmt::format("merge {} is '{}', expected two tokens with a space between", merges_.size(), line));
    add_merge(line.substr(0, space), line.substr(space + 1));
  }

  BpeVocabulary finish(const std::vector<int32_t>& special_ids) {
    BpeVocabulary vocabulary{take(), std::move(merges_), special_ids};
    std::vector<bool> special(vocabulary.tokens.size(), false);
    for (const int32_t id : special_ids) special[id] = true;
    const ByteSymbols byte_symbols;
    for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
      if (special[id]) continue;
      const auto bytes = byte_symbols.to_bytes(vocabulary.tokens[id]);
      if (!bytes)
        fail(
            fmt::format("token '{}' is not written in GPT-2's byte symbols; only byte-level BPE is supported",
                        vocabulary.tokens[id]));
      vocabulary.tokens[id] = *bytes;
    }
    return vocabulary;
  }

 private:
  std::vector<TokenPair> merges_;
};

void check_parts(const BpeReader& reader, const json& root) {
  for (const char* key : {"normalizer", "truncation", "padding"}) require_unset(reader, root, "", key);
  const json& pre_tokenizer = json_field(root, "pre_tokenizer");
  if (json_type(pre_tokenizer) != "ByteLevel")
    reader.fail(fmt::format("pre_tokenizer is {}, expected ByteLevel (GPT-2's byte-level BPE)",
                            json_type(pre_tokenizer)));
  require_unset(reader, pre_tokenizer, "pre_tokenizer.", "add_prefix_space");
  if (json_field(pre_tokenizer, "use_regex") == false)
    reader.fail("pre_tokenizer.use_regex is false, which is not supported; expected true");
  const json& post_processor = json_field(root, "post_processor");
  if (!post_processor.is_null() && json_type(post_processor) != "ByteLevel")
    reader.fail(fmt::format("post_processor is {}, which is not supported; expected ByteLevel or none",
                            json_type(post_processor)));
  const json& model = json_field(root, "model");
  if (!model.is_object()) reader.fail("has no model; expected a Hugging Face tokenizer.json");
  if (json_type(model) != "BPE" && !json_field(model, "type").is_null())
    reader.fail(fmt::format("model is {}, expected BPE", json_type(model)));
  for (const char* key :
       {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"})
    require_unset(reader, model, "model.", key);
}

}  // namespace

BpeVocabulary read_gpt2_files(const std::string& encoder_path, const std::string& merges_path) {
  BpeReader reader(encoder_path);
  reader.add_all(parse_tokenizer_json(read_file(encoder_path), encoder_path), 0);
  std::vector<int32_t> special_ids;
  if (const auto id = reader.find(kEndOfDocument)) special_ids.push_back(*id);

  const std::string merges = read_file(merges_path);
  for (size_t begin = 0, line_number = 1; begin < merges.size(); ++line_number) {
    const size_t end = std::min(merges.find('\n', begin), merges.size());
    std::string line = merges.substr(begin, end - begin);
    begin = end + 1;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || (line_number == 1 && line.starts_with("#version"))) continue;
    try {
      reader.add_merge(line);
    } catch (const DataError& error) {
      throw DataError(fmt::format("{} line {}: {}", merges_path, line_number, error.what()));
    }
  }
  return reader.finish(special_ids);
}

BpeVocabulary parse_hugging_face_json(const json& root, const std::string& name) {
  BpeReader reader(name);
  check_parts(reader, root);
  const json& model = json_field(root, "model");
  const json& added = json_field(root, "added_tokens");
  if (!added.is_null() && !added.is_array()) reader.fail("added_tokens is not a list");
  reader.add_all(json_field(model, "vocab"), added.size());
  const std::vector<int32_t> special_ids = reader.add_special(root);
  const json& merges = json_field(model, "merges");
  if (!merges.is_array()) reader.fail("model.merges is not a list");
  for (const json& merge : merges) {
    if (merge.is_string()) {
      reader.add_merge(merge.get<std::string>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      reader.add_merge(merge[0].get<std::string>(), merge[1].get<std::string>());
    } else {
      reader.fail(fmt::format("model.merges has {}, expected two tokens", merge.dump()));
    }
  }
  return reader.finish(special_ids);
}

std::string to_hugging_face_json(const BpeVocabulary& vocabulary) {
  using nlohmann::ordered_json;
  const ByteSymbols byte_symbols;
  std::vector<std::string> symbols;
  for (const std::string& token : vocabulary.tokens) symbols.push_back(byte_symbols.to_symbols(token));
  ordered_json added = ordered_json::array();
  for (const int32_t id : vocabulary.special_ids) {
    symbols[id] = vocabulary.tokens[id];
    added.push_back(added_token_json(symbols[id], id));
  }
  ordered_json merges = ordered_json::array();
  for (const auto& [left, right] : vocabulary.merges) merges.push_back(symbols[left] + ' ' + symbols[right]);
  const ordered_json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  return fmt::format(
      R"({{"version":"1.0","truncation":null,"padding":null,"added_tokens":{0},"normalizer":null,)"
      R"("pre_tokenizer":{1},"post_processor":null,"decoder":{1},)"
      R"("model":{{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,)"
      R"("end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,)"
      R"("vocab":{2},"merges":{3}}}}})"
      "\n",
      added.dump(), byte_level.dump(), vocabulary_json(symbols), merges.dump());
}

}  // namespace trireme
