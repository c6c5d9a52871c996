#include "core/text/words_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/text/sentence_words.h"
#include "core/text/vocabulary_reader.h"

namespace trireme {
namespace {

constexpr const char* kSpecials[] = {"[PAD]", "[UNK]", "[BOS]", "[EOS]"};
constexpr int32_t kPad = 0, kUnknown = 1, kBegin = 2, kEnd = 3, kNumSpecials = 4;
constexpr size_t kStretch = 1 << 18;

std::vector<std::string> with_specials(const std::vector<std::string>& words) {
  std::vector<std::string> tokens(std::begin(kSpecials), std::end(kSpecials));
  tokens.insert(tokens.end(), words.begin(), words.end());
  return tokens;
}

SpecialIds word_specials() {
  return {.pad = kPad,
          .unknown = kUnknown,
          .begin = kBegin,
          .end = kEnd,
          .cls = std::nullopt,
          .sep = std::nullopt,
          .mask = std::nullopt};
}

}  // namespace

WordsTokenizer::WordsTokenizer(const std::vector<std::string>& words, bool lower_case)
    : Tokenizer(with_specials(words), {kPad, kUnknown, kBegin, kEnd}, word_specials()),
      lower_case_(lower_case) {
  for (int32_t id = 0; id < vocab_size(); ++id) {
    if (token(id).empty()) throw DataError(fmt::format("token {} is empty", id));
    if (const auto [first, added] = ids_.emplace(token(id), id); !added)
      throw DataError(fmt::format("tokens {} and {} are both '{}'", first->second, id, token(id)));
  }
}

std::vector<int32_t> WordsTokenizer::encode(std::string_view text, SpecialTokens special) const {
  std::vector<int32_t> ids;
  split_at_specials(
      text, special == SpecialTokens::kParse ? special_texts() : std::vector<SpecialText>{},
      [&](std::string_view part) {
        for (const std::string_view stretch : cut_between_words(part, kStretch))
          for (const std::string& word : split_sentence(stretch, lower_case_)) {
            const auto found = ids_.find(word);
            ids.push_back(found == ids_.end() ? kUnknown : found->second);
          }
      },
      [&](int32_t id) { ids.push_back(id); });
  return ids;
}

std::string WordsTokenizer::join(std::span<const int32_t> ids) const {
  std::vector<std::string_view> words;
  for (const int32_t id : ids) words.push_back(token(id));
  return join_sentence(words);
}

std::string WordsTokenizer::hashed_details() const {
  return lower_case_ ? "lower case" : "as written";
}

Tokenizer::StoredFile WordsTokenizer::stored() const {
  std::vector<std::string> words;
  for (int32_t id = kNumSpecials; id < vocab_size(); ++id) words.push_back(token(id));
  const nlohmann::ordered_json root = {
      {"type", "trireme-words"}, {"version", 1}, {"lower_case", lower_case_}, {"words", words}};
  return {"tokenizer.json", root.dump() + '\n'};
}

WordsTrainer::WordsTrainer(WordsTrainingOptions options) : options_(options), counts_(options.num_threads) {
  if (options_.vocab_size <= kNumSpecials || options_.vocab_size > INT32_MAX)
    throw ConfigError(fmt::format(
        "a vocabulary of {} words is not possible; expected at least {} ({} special tokens and a word)",
        options_.vocab_size, kNumSpecials + 1, kNumSpecials));
}

void WordsTrainer::add(std::span<const std::string_view> texts) {
  counts_.add(texts, [&](std::string_view stretch, int, auto&& count) {
    for (const std::string& word : split_sentence(stretch, options_.lower_case)) count(word);
  });
}

std::unique_ptr<WordsTokenizer> WordsTrainer::train() const {
  const auto totals = counts_.totals();
  if (totals.empty()) throw DataError("there is no text to train a tokenizer on");
  std::vector<std::pair<int64_t, std::string_view>> order;
  for (const auto& [word, count] : totals)
    if (count >= options_.min_frequency) order.emplace_back(-count, word);
  std::sort(order.begin(), order.end());
  order.resize(std::min(order.size(), static_cast<size_t>(options_.vocab_size - kNumSpecials)));
  std::vector<std::string> words;
  for (const auto& [count, word] : order) words.emplace_back(word);
  return std::make_unique<WordsTokenizer>(words, options_.lower_case);
}

std::unique_ptr<WordsTokenizer> parse_words_json(const nlohmann::json& root, const std::string& name) {
  const VocabularyReader reader(name);
  if (json_field(root, "version") != 1)
    reader.fail(fmt::format("version {} is not known, expected 1", json_field(root, "version").dump()));
  const auto& lower_case = json_field(root, "lower_case");
  if (!lower_case.is_boolean())
    reader.fail(fmt::format("lower_case is {}, expected true or false", lower_case.type_name()));
  const auto& list = json_field(root, "words");
  if (!list.is_array()) reader.fail(fmt::format("words is {}, expected a list", list.type_name()));
  std::vector<std::string> words;
  for (const auto& word : list) {
    if (!word.is_string()) reader.fail(fmt::format("words has {}, expected texts", word.type_name()));
    words.push_back(word.get<std::string>());
  }
  try {
    return std::make_unique<WordsTokenizer>(words, lower_case.get<bool>());
  } catch (const DataError& error) {
    reader.fail(error.what());
  }
}

}  // namespace trireme
