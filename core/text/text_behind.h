#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/text/tokenizer.h"

namespace trireme {

/// What `token` adds to a text that ends with the token `previous` (nothing: it begins the text), for a text
/// that is printed as it is made: the space before a word belongs to neither token alone.
std::string text_behind(const Tokenizer& tokenizer, std::optional<int32_t> previous, int32_t token);

}  // namespace trireme
