#include "core/text/text_behind.h"

#include <array>

namespace trireme {

std::string text_behind(const Tokenizer& tokenizer, std::optional<int32_t> previous, int32_t token) {
  const std::string alone = tokenizer.decode(std::array{token}, SpecialTokens::kParse);
  if (!previous) return alone;
  const std::string before = tokenizer.decode(std::array{*previous}, SpecialTokens::kParse);
  const std::string both = tokenizer.decode(std::array{*previous, token}, SpecialTokens::kParse);
  return both.starts_with(before) ? both.substr(before.size()) : alone;
}

}  // namespace trireme
