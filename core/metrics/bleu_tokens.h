#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trireme {

enum class BleuTokenizer { k13a, kNone };
const char* name_of(BleuTokenizer tokenizer);  ///< "13a", "none"

struct BleuTokens {
  BleuTokenizer tokenizer = BleuTokenizer::k13a;
  bool lowercase = false;
};

/// The tokens that sacrebleu counts in one segment (UTF-8): lower-cased first if asked for; with 13a
/// (mteval-v13a, as WMT used it) four HTML entities resolved and ASCII punctuation cut off, periods and
/// commas but for those between digits, dashes after digits only; then cut at Unicode's white space.
/// DataError where the text is no UTF-8.
std::vector<std::string> bleu_tokens(std::string_view segment, const BleuTokens& options);

}  // namespace trireme
