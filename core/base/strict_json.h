#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace trireme {

/// Parses untrusted JSON: an object, no key twice in one object, nesting of at most 32. DataError naming
/// `where` otherwise.
nlohmann::json parse_strict_json(std::string_view text, const std::string& where);

/// Text from a file, fit for a message: all but printable ASCII as \xNN.
std::string printable(std::string_view text);

}  // namespace trireme
