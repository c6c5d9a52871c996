#include "core/text/bpe_files.h"

#include <fmt/format.h>
#include <algorithm>
#include <optional>
#include <unordered_map>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/text/byte_symbols.h"

namespace trireme {
namespace {

using nlohmann::json;

json parse_json(const std::string& text, const std::string& name) {
  try {
    return json::parse(text);
  } catch (const json::exception& error) {
    throw DataError(fmt::format("{}: not JSON: {}", name, error.what()));
  }
}

/// Fills tokens from {"token": id}, ids being 0 to n - 1, each once.
class VocabularyReader {
 public:
  explicit VocabularyReader(std::string name) : name_(std::move(name)) {}

  void add_all(const json& vocabulary, size_t num_added) {
    if (!vocabulary.is_object()) fail("the vocabulary is not an object of token: id");
    symbols_.resize(vocabulary.size() + num_added);
    for (const auto& [symbols, id] : vocabulary.items()) add(symbols, id);
  }
  void add(const std::string& symbols, const json& id_value) {
    if (!id_value.is_number_integer()) fail(fmt::format("token '{}' has no whole number as id", symbols));
    const auto id = id_value.get<int64_t>();
    if (id < 0 || id >= static_cast<int64_t>(symbols_.size()))
      fail(fmt::format("token '{}' has id {}, expected 0 to {} without gaps", symbols, id,
                       static_cast<int64_t>(symbols_.size()) - 1));
    if (!symbols_[id].empty())
      fail(fmt::format("tokens '{}' and '{}' have the same id {}", symbols_[id], symbols, id));
    if (symbols.empty()) fail("a token is empty");
    symbols_[id] = symbols;
    ids_.emplace(symbols, static_cast<int32_t>(id));
  }
  std::optional<int32_t> find(const std::string& symbols) const {
    const auto found = ids_.find(symbols);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }
  void drop_unused(size_t count) { symbols_.resize(symbols_.size() - count); }

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
    BpeVocabulary vocabulary{std::move(symbols_), std::move(merges_), special_ids};
    const std::vector<bool> special = mark(special_ids, vocabulary.tokens.size());
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
  [[noreturn]] void fail(const std::string& what) const { throw DataError(name_ + ": " + what); }

 private:
  static std::vector<bool> mark(const std::vector<int32_t>& ids, size_t size) {
    std::vector<bool> marked(size, false);
    for (const int32_t id : ids) marked[id] = true;
    return marked;
  }

  std::string name_;
  std::vector<std::string> symbols_;
  std::unordered_map<std::string, int32_t> ids_;
  std::vector<TokenPair> merges_;
};

/// The value of `object[key]`, or null where it is absent.
const json& field(const json& object, const char* key) {
  static const json null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

/// A field that must be absent, null, false, 0 or empty.
void require_unset(const VocabularyReader& reader, const json& object, const char* where, const char* key) {
  const json& value = field(object, key);
  if (value.is_null() || value == false || value == 0 || value == "") return;
  reader.fail(fmt::format("{}{} is {}, which is not supported; expected none", where, key, value.dump()));
}

std::string type_of(const json& object) {
  const json& type = object.is_object() ? field(object, "type") : object;
  return type.is_string() ? type.get<std::string>() : type.dump();
}

void check_parts(const VocabularyReader& reader, const json& root) {
  for (const char* key : {"normalizer", "truncation", "padding"}) require_unset(reader, root, "", key);
  const json& pre_tokenizer = field(root, "pre_tokenizer");
  if (type_of(pre_tokenizer) != "ByteLevel")
    reader.fail(fmt::format("pre_tokenizer is {}, expected ByteLevel (GPT-2's byte-level BPE)",
                            type_of(pre_tokenizer)));
  require_unset(reader, pre_tokenizer, "pre_tokenizer.", "add_prefix_space");
  if (field(pre_tokenizer, "use_regex") == false)
    reader.fail("pre_tokenizer.use_regex is false, which is not supported; expected true");
  const json& post_processor = field(root, "post_processor");
  if (!post_processor.is_null() && type_of(post_processor) != "ByteLevel")
    reader.fail(fmt::format("post_processor is {}, which is not supported; expected ByteLevel or none",
                            type_of(post_processor)));
  const json& model = field(root, "model");
  if (!model.is_object()) reader.fail("has no model; expected a Hugging Face tokenizer.json");
  if (type_of(model) != "BPE" && !field(model, "type").is_null())
    reader.fail(fmt::format("model is {}, expected BPE", type_of(model)));
  for (const char* key :
       {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"})
    require_unset(reader, model, "model.", key);
}

/// Adds the tokens that stand outside the model's vocabulary; returns the ids of the special ones.
std::vector<int32_t> read_added_tokens(VocabularyReader& reader, const json& root) {
  std::vector<int32_t> special_ids;
  const json& added = field(root, "added_tokens");
  if (added.is_null()) return special_ids;
  size_t known = 0;
  for (const json& entry : added) {
    const json& content = entry.is_object() ? field(entry, "content") : entry;
    if (!content.is_string() || content == "" || !entry.is_object() ||
        !field(entry, "id").is_number_integer())
      reader.fail("added_tokens has an entry without id or content");
    const auto text = content.get<std::string>();
    if (field(entry, "special") != true)
      reader.fail(fmt::format("added token '{}' is not special, which is not supported", text));
    for (const char* key : {"single_word", "lstrip", "rstrip"})
      require_unset(reader, entry, fmt::format("added token '{}': ", text).c_str(), key);
    if (const auto id = reader.find(text)) {
      if (*id != field(entry, "id").get<int64_t>())
        reader.fail(fmt::format("added token '{}' has id {}, but {} in the model's vocabulary", text,
                                field(entry, "id").dump(), *id));
      ++known;
    }
  }
  reader.drop_unused(known);
  for (const json& entry : added) {
    const auto text = field(entry, "content").get<std::string>();
    if (!reader.find(text)) reader.add(text, field(entry, "id"));
    special_ids.push_back(*reader.find(text));
  }
  return special_ids;
}

}  // namespace

BpeVocabulary read_gpt2_files(const std::string& encoder_path, const std::string& merges_path) {
  VocabularyReader reader(encoder_path);
  reader.add_all(parse_json(read_file(encoder_path), encoder_path), 0);
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

BpeVocabulary parse_hugging_face_json(const std::string& text, const std::string& name) {
  VocabularyReader reader(name);
  const json root = parse_json(text, name);
  if (!root.is_object()) reader.fail("not an object; expected a Hugging Face tokenizer.json");
  check_parts(reader, root);
  const json& model = field(root, "model");
  const json& added = field(root, "added_tokens");
  if (!added.is_null() && !added.is_array()) reader.fail("added_tokens is not a list");
  reader.add_all(field(model, "vocab"), added.size());
  const std::vector<int32_t> special_ids = read_added_tokens(reader, root);
  const json& merges = field(model, "merges");
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
    added.push_back({{"id", id},
                     {"content", symbols[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  ordered_json merges = ordered_json::array();
  for (const auto& [left, right] : vocabulary.merges) merges.push_back(symbols[left] + ' ' + symbols[right]);
  // ordered_json looks a key up by walking all others; a vocabulary is written by hand.
  std::string vocab;
  for (size_t id = 0; id < symbols.size(); ++id)
    vocab += fmt::format("{}{}:{}", id ? "," : "", json(symbols[id]).dump(), id);
  const ordered_json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  return fmt::format(
      R"({{"version":"1.0","truncation":null,"padding":null,"added_tokens":{0},"normalizer":null,)"
      R"("pre_tokenizer":{1},"post_processor":null,"decoder":{1},)"
      R"("model":{{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,)"
      R"("end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,)"
      R"("vocab":{{{2}}},"merges":{3}}}}})"
      "\n",
      added.dump(), byte_level.dump(), vocab, merges.dump());
}

}  // namespace trireme
