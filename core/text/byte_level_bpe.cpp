#include "core/text/byte_level_bpe.h"

#include <fmt/format.h>

#include <limits>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/text/bpe_files.h"
#include "core/text/byte_symbols.h"

namespace trireme {
namespace {

/// Words are found in stretches of this many bytes, so that their list stays small.
constexpr size_t kStretch = 1 << 18;

/// Words seen before, with their tokens. Bounded: emptied when full.
class WordCache {
 public:
  const std::vector<int32_t>* find(std::string_view word) const {
    const auto found = words_.find(word);
    return found == words_.end() ? nullptr : &found->second;
  }
  void add(std::string_view word, const std::vector<int32_t>& ids) {
    if (words_.size() >= kCapacity) words_.clear();
    words_.emplace(word, ids);
  }
  static constexpr size_t kLongestWord = 64;

 private:
  static constexpr size_t kCapacity = 1 << 17;
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const { return xxh3_64(word); }
  };
  std::unordered_map<std::string, std::vector<int32_t>, Hash, std::equal_to<>> words_;
};

}  // namespace

struct ByteLevelBpe::Scratch {
  explicit Scratch(const WordSplitter& splitter) : split(splitter) {}
  WordSplitter::Scratch split;
  std::vector<std::string_view> words;
  std::vector<int32_t> ids;
  BpeMerges::Scratch merges;
  WordCache cache;
};

ByteLevelBpe::ByteLevelBpe(BpeVocabulary vocabulary)
    : Tokenizer(std::move(vocabulary.tokens), std::move(vocabulary.special_ids)),
      pairs_(std::move(vocabulary.merges)) {
  std::unordered_map<std::string_view, int32_t> id_of_bytes;
  for (int32_t id = 0; id < vocab_size(); ++id) {
    if (token(id).empty()) throw DataError(fmt::format("token {} is empty", id));
    if (is_special(id)) continue;
    if (const auto [first, added] = id_of_bytes.emplace(token(id), id); !added)
      throw DataError(fmt::format("tokens {} and {} are the same", first->second, id));
  }
  const ByteSymbols byte_symbols;
  // A vocabulary file could not tell the two apart.
  for (const auto& [text, id] : special_texts())
    if (const auto bytes = byte_symbols.to_bytes(text); bytes && id_of_bytes.contains(*bytes))
      throw DataError(fmt::format("special token '{}' is also an ordinary token", text));
  for (int byte = 0; byte < 256; ++byte) {
    const auto found = id_of_bytes.find(std::string(1, static_cast<char>(byte)));
    if (found == id_of_bytes.end())
      throw DataError(fmt::format("byte {} has no token; a byte-level vocabulary has all 256", byte));
    byte_ids_[byte] = found->second;
  }
  std::unordered_map<uint64_t, size_t> seen;
  std::vector<std::pair<TokenPair, int32_t>> ranked;
  for (size_t rank = 0; rank < pairs_.size(); ++rank) {
    const TokenPair pair = pairs_[rank];
    const auto result = id_of_bytes.find(token(pair.first) + token(pair.second));
    if (result == id_of_bytes.end())
      throw DataError(fmt::format("merge {} joins tokens {} and {} into one that is not in the vocabulary",
                                  rank, pair.first, pair.second));
    if (!seen.emplace(key_of(pair), rank).second)
      throw DataError(fmt::format("merge {} repeats merge {}", rank, seen[key_of(pair)]));
    ranked.emplace_back(pair, result->second);
  }
  merges_ = std::make_unique<BpeMerges>(ranked);
}

ByteLevelBpe::~ByteLevelBpe() = default;

std::unique_ptr<ByteLevelBpe::Scratch> ByteLevelBpe::borrow_scratch() const {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<Scratch>(splitter_);
  auto scratch = std::move(idle_.back());
  idle_.pop_back();
  return scratch;
}

std::vector<int32_t> ByteLevelBpe::encode(std::string_view text, SpecialTokens special) const {
  std::vector<int32_t> ids;
  auto scratch = borrow_scratch();
  split_at_specials(
      text, special == SpecialTokens::kParse ? special_texts() : std::vector<SpecialText>{},
      [&](std::string_view part) {
        for (const std::string_view stretch : cut_between_words(part, kStretch))
          encode_stretch(stretch, *scratch, ids);
      },
      [&](int32_t id) { ids.push_back(id); });
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(scratch));
  return ids;
}

void ByteLevelBpe::encode_stretch(std::string_view text, Scratch& scratch, std::vector<int32_t>& ids) const {
  if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    throw DataError(fmt::format("{} bytes of text without white space are too long to encode", text.size()));
  scratch.words.clear();
  splitter_.split(text, scratch.split, scratch.words);
  for (const std::string_view word : scratch.words) {
    if (const auto* known = scratch.cache.find(word)) {
      ids.insert(ids.end(), known->begin(), known->end());
      continue;
    }
    scratch.ids.clear();
    for (const char byte : word) scratch.ids.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
    merges_->apply(scratch.ids, scratch.merges);
    if (word.size() <= WordCache::kLongestWord) scratch.cache.add(word, scratch.ids);
    ids.insert(ids.end(), scratch.ids.begin(), scratch.ids.end());
  }
}

std::string ByteLevelBpe::hashed_details() const {
  std::string details;
  for (const auto& [left, right] : pairs_) details += fmt::format("merge {} {}\n", left, right);
  return details;
}

Tokenizer::StoredFile ByteLevelBpe::stored() const {
  BpeVocabulary vocabulary{{}, pairs_, special_ids()};
  for (int32_t id = 0; id < vocab_size(); ++id) vocabulary.tokens.push_back(token(id));
  return {"tokenizer.json", to_hugging_face_json(vocabulary)};
}

}  // namespace trireme
