#include "core/base/strict_json.h"

#include <fmt/format.h>

#include <set>
#include <vector>

#include "core/base/error.h"

namespace trireme {
namespace {

constexpr int kDeepest = 32;

}  // namespace

nlohmann::json parse_strict_json(std::string_view text, const std::string& where) {
  using Event = nlohmann::json::parse_event_t;
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, Event event, nlohmann::json& parsed) {
    if (depth > kDeepest) throw DataError(fmt::format("'{}' nests deeper than {}", where, kDeepest));
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(parsed.get<std::string>()).second)
      throw DataError(fmt::format("'{}' has the key {} twice", where, parsed.dump(-1, ' ', true)));
    return true;
  };
  try {
    nlohmann::json parsed = nlohmann::json::parse(text, watch);
    if (!parsed.is_object()) throw DataError(fmt::format("'{}' is not a JSON object", where));
    return parsed;
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format("'{}' is not valid JSON: {}", where, printable(error.what())));
  }
}

std::string printable(std::string_view text) {
  std::string result;
  for (const char c : text)
    result += c >= ' ' && c <= '~' ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
  return result;
}

}  // namespace trireme
