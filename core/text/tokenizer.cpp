#include "core/text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/base/check.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/hash.h"

namespace trireme {

Tokenizer::Tokenizer(std::vector<std::string> tokens, std::vector<int32_t> special_ids, SpecialIds special)
    : tokens_(std::move(tokens)), special_ids_(std::move(special_ids)), special_(special) {
  std::sort(special_ids_.begin(), special_ids_.end());
  special_ids_.erase(std::unique(special_ids_.begin(), special_ids_.end()), special_ids_.end());
  for (const int32_t id : special_ids_)
    if (!special_.end && token(id) == kEndOfDocument) special_.end = id;
  for (size_t id = 0; id < tokens_.size(); ++id) ids_.emplace(tokens_[id], static_cast<int32_t>(id));
}

std::string Tokenizer::decode(std::span<const int32_t> ids, SpecialTokens special) const {
  std::vector<int32_t> kept;
  kept.reserve(ids.size());
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size())
      throw DataError(fmt::format("token id {} is outside the vocabulary of {} tokens", id, vocab_size()));
    if (special == SpecialTokens::kParse || !is_special(id)) kept.push_back(id);
  }
  return join(kept);
}

std::string Tokenizer::join(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) text += tokens_[id];
  return text;
}

const std::string& Tokenizer::token(int32_t id) const {
  TRIREME_ASSERT(id >= 0 && id < vocab_size(), fmt::format("token id {} of {}", id, vocab_size()));
  return tokens_[id];
}

std::optional<int32_t> Tokenizer::id_of(std::string_view token) const {
  const auto found = ids_.find(std::string(token));
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

bool Tokenizer::is_special(int32_t id) const {
  return std::binary_search(special_ids_.begin(), special_ids_.end(), id);
}

std::vector<SpecialText> Tokenizer::special_texts() const {
  std::vector<SpecialText> texts;
  for (const int32_t id : special_ids_) texts.emplace_back(tokens_[id], id);
  return texts;
}

std::string Tokenizer::content_hash() const {
  std::string canonical = kind() + '\n';
  for (const std::string& token : tokens_) canonical += fmt::format("{}:{}", token.size(), token);
  for (const int32_t id : special_ids_) canonical += fmt::format("special {}\n", id);
  return xxh3_128_hex(canonical + hashed_details());
}

void Tokenizer::save(const std::string& folder) const {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    throw IoError(fmt::format("{}: cannot make the folder: {}", folder, error.message()),
                  ExitCode::kCannotCreate);
  const StoredFile file = stored();
  replace_file((std::filesystem::path(folder) / file.name).string(), file.content);
}

std::string default_tokenizer_path(const std::string& prefix) {
  return prefix + "-tokenizer";
}

std::string default_target_tokenizer_path(const std::string& prefix) {
  return prefix + "-target-tokenizer";
}

}  // namespace trireme
