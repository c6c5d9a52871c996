#include "core/text/word_splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>

#include "core/base/check.h"
#include "core/text/utf8.h"

namespace trireme {
namespace {

// The white space of Unicode, spelled out: PCRE2's own \s also takes U+180E, which GPT-2's does not.
#define TRIREME_SPACE R"(\p{Z}\t-\r\x{85})"
constexpr const char* kPattern =
    "'s|'t|'re|'ve|'m|'ll|'d"
    R"(| ?\p{L}+| ?\p{N}+)"
    "| ?[^" TRIREME_SPACE R"(\p{L}\p{N}]+)"
    "|[" TRIREME_SPACE "]+(?![^" TRIREME_SPACE
    "])"
    "|[" TRIREME_SPACE "]+";
#undef TRIREME_SPACE

bool is_ascii_space(char byte) {
  return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

}  // namespace

struct WordSplitter::Pattern {
  pcre2_code* code;
};
struct WordSplitter::Scratch::Match {
  pcre2_match_data* data;
};

WordSplitter::WordSplitter() {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kPattern), PCRE2_ZERO_TERMINATED,
                                   PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  TRIREME_ASSERT(code != nullptr, fmt::format("word pattern: PCRE2 error {} at {}", error, offset));
  // Machines that forbid writable code have no JIT; PCRE2 then interprets the pattern.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  pattern_ = std::make_unique<Pattern>(Pattern{code});
}

WordSplitter::~WordSplitter() {
  pcre2_code_free(pattern_->code);
}

WordSplitter::Scratch::Scratch(const WordSplitter& splitter)
    : match_(std::make_unique<Match>(
          Match{pcre2_match_data_create_from_pattern(splitter.pattern_->code, nullptr)})) {}

WordSplitter::Scratch::~Scratch() {
  pcre2_match_data_free(match_->data);
}

void WordSplitter::split(std::string_view text, Scratch& scratch,
                         std::vector<std::string_view>& words) const {
  while (!text.empty()) {
    const size_t valid = valid_utf8_prefix(text);
    split_valid(text.substr(0, valid), scratch, words);
    size_t invalid = valid;
    while (invalid < text.size() && valid_utf8_prefix(text.substr(invalid, 4)) == 0) ++invalid;
    if (invalid > valid) words.push_back(text.substr(valid, invalid - valid));
    text.remove_prefix(invalid);
  }
}

void WordSplitter::split_valid(std::string_view text, Scratch& scratch,
                               std::vector<std::string_view>& words) const {
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(scratch.match_->data);
  for (size_t position = 0; position < text.size();) {
    const int result = pcre2_match(pattern_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                   position, PCRE2_NO_UTF_CHECK, scratch.match_->data, nullptr);
    TRIREME_ASSERT(result > 0 && bounds[0] == position && bounds[1] > position,
                   fmt::format("word pattern: PCRE2 result {} at byte {}", result, position));
    words.push_back(text.substr(position, bounds[1] - position));
    position = bounds[1];
  }
}

std::vector<std::string_view> cut_between_words(std::string_view text, size_t stretch) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    size_t cut = std::min(stretch, text.size());
    while (cut < text.size() && !(is_ascii_space(text[cut]) && text[cut - 1] >= '!' && text[cut - 1] <= '~'))
      ++cut;
    parts.push_back(text.substr(0, cut));
    text.remove_prefix(cut);
  }
  return parts;
}

}  // namespace trireme
