#include "launcher/config/run_tokenizers.h"

#include <filesystem>

#include "core/text/wordpiece.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

/// `given`, or where that is empty `usual` if it is there; empty: neither.
std::string path_of(const std::string& given, const std::string& usual) {
  if (!given.empty()) return given;
  return !usual.empty() && fs::exists(usual) ? usual : "";
}

std::unique_ptr<Tokenizer> load(const std::string& path) {
  return path.empty() ? nullptr : load_tokenizer(path);
}

/// Takes special ids from a tokenizer.
struct RoleReader {
  const Tokenizer* tokenizer;
  const std::string& path;
  const char* what;
  ConfigProblems& problems;

  int32_t operator()(std::optional<int32_t> SpecialIds::*role, const char* name) const {
    if (tokenizer == nullptr) return kNoToken;
    const std::optional<int32_t> id = tokenizer->special().*role;
    if (!id)
      problems.add(
          "{}: the {} tokenizer has no special token '{}', which {} needs; prepare the data with one "
          "that has it",
          path, tokenizer->kind(), name, what);
    return id.value_or(kNoToken);
  }
};

std::vector<uint8_t> continuing_pieces(const RunTokenizers& tokenizers, ConfigProblems& problems) {
  const Tokenizer& tokenizer = *tokenizers.tokens;
  std::vector<uint8_t> continues(static_cast<size_t>(tokenizer.vocab_size()));
  bool any = false;
  for (size_t id = 0; id < continues.size(); ++id) {
    continues[id] = tokenizer.token(static_cast<int32_t>(id)).starts_with(kWordPieceContinuation) ? 1 : 0;
    any |= continues[id] != 0;
  }
  if (!any)
    problems.add("data.whole_word_mask: given true, but the {} tokenizer {} has no token that begins with {}",
                 tokenizer.kind(), tokenizers.tokens_path, kWordPieceContinuation);
  return continues;
}

}  // namespace

std::string RunTokenizers::content_hash() const {
  if (!tokens) return "";
  return source ? tokens->content_hash() + "+" + source->content_hash() : tokens->content_hash();
}

RunTokenizers load_tokenizers(const DataConfig& data, Objective objective) {
  const bool beside = data.source == DataSource::kIndexed && !data.data_path.empty();
  const std::string prefix = beside ? data.data_path.front() : "";
  RunTokenizers tokenizers;
  tokenizers.source_path = path_of(data.tokenizer_path, beside ? default_tokenizer_path(prefix) : "");
  tokenizers.tokens_path = tokenizers.source_path;
  if (objective == Objective::kTranslation) {
    const std::string target =
        path_of(data.target_tokenizer_path, beside ? default_target_tokenizer_path(prefix) : "");
    if (!target.empty()) {
      tokenizers.tokens_path = target;
      tokenizers.source = load(tokenizers.source_path);
    }
  }
  tokenizers.tokens = load(tokenizers.tokens_path);
  return tokenizers;
}

TokenRoles token_roles(const RunTokenizers& tokenizers, const DataConfig& data, const SampleNeeds& needs,
                       ConfigProblems& problems) {
  TokenRoles roles;
  const Tokenizer* tokens = tokenizers.tokens.get();
  if (tokens != nullptr) roles.num_tokens = tokens->vocab_size();
  if (data.source == DataSource::kSynthetic || data.data_path.empty() ||
      needs.objective == Objective::kCausal)
    return roles;
  if (tokens == nullptr) {
    problems.add(
        "data.tokenizer_path: given nothing, and {} is not there; expected a tokenizer: its special "
        "tokens go into the samples",
        default_tokenizer_path(data.data_path.front()));
    return roles;
  }
  const char* what = needs.objective == Objective::kTranslation ? "translation"
                     : needs.objective == Objective::kMasked    ? "a masked language model"
                                                                : "classification";
  const RoleReader read{tokens, tokenizers.tokens_path, what, problems};
  if (needs.objective == Objective::kTranslation) {
    roles.begin = read(&SpecialIds::begin, "begin");
    roles.end = read(&SpecialIds::end, "end");
    roles.source_end = roles.end;
    if (tokenizers.source) {
      const RoleReader source{tokenizers.source.get(), tokenizers.source_path, what, problems};
      roles.source_end = source(&SpecialIds::end, "end");
    }
    return roles;
  }
  roles.cls = read(&SpecialIds::cls, "cls");
  roles.sep = read(&SpecialIds::sep, "sep");
  if (needs.objective == Objective::kMasked) roles.mask = read(&SpecialIds::mask, "mask");
  if (data.whole_word_mask) roles.continues_word = continuing_pieces(tokenizers, problems);
  return roles;
}

}  // namespace trireme
