#include "core/text/character_tokenizer.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/utf8.h"

namespace trireme {
namespace {

constexpr uint32_t kLargestCodePoint = 0x10FFFF;

uint32_t largest_value(CharacterUnit unit) {
  return unit == CharacterUnit::kByte ? 255 : kLargestCodePoint;
}

/// Calls visit(value, byte offset) for each unit of the text.
template <class Visit>
void for_each_unit(std::string_view text, CharacterUnit unit, Visit&& visit) {
  for (size_t position = 0; position < text.size();) {
    const size_t begin = position;
    if (unit == CharacterUnit::kByte) {
      visit(static_cast<unsigned char>(text[position++]), begin);
    } else if (const auto code_point = next_code_point(text, position)) {
      visit(*code_point, begin);
    } else {
      throw DataError(
          fmt::format("byte {} of the text (0x{:02X}) is not UTF-8; a character tokenizer of "
                      "bytes takes any text",
                      begin, static_cast<unsigned char>(text[begin])));
    }
  }
}

std::vector<std::string> tokens_of(CharacterUnit unit, const std::vector<uint32_t>& units,
                                   bool end_of_document) {
  std::vector<std::string> tokens;
  for (size_t i = 0; i < units.size(); ++i) {
    const bool surrogate = unit == CharacterUnit::kCodePoint && units[i] >= 0xD800 && units[i] < 0xE000;
    if (units[i] > largest_value(unit) || surrogate || (i > 0 && units[i] <= units[i - 1]))
      throw DataError(fmt::format("unit {} is {}; expected {} in ascending order, each once", i, units[i],
                                  unit == CharacterUnit::kByte ? "bytes" : "code points"));
    std::string token;
    if (unit == CharacterUnit::kByte)
      token.push_back(static_cast<char>(units[i]));
    else
      append_utf8(token, units[i]);
    tokens.push_back(token);
  }
  if (end_of_document) tokens.emplace_back(kEndOfDocument);
  return tokens;
}

std::vector<int32_t> special_ids_of(const std::vector<uint32_t>& units, bool end_of_document) {
  if (!end_of_document) return {};
  return {static_cast<int32_t>(units.size())};
}

}  // namespace

CharacterTokenizer::CharacterTokenizer(CharacterUnit unit, const std::vector<uint32_t>& units,
                                       bool end_of_document)
    : Tokenizer(tokens_of(unit, units, end_of_document), special_ids_of(units, end_of_document)),
      unit_(unit),
      units_(units),
      id_of_unit_(units.empty() ? 0 : units.back() + 1, -1) {
  for (size_t id = 0; id < units.size(); ++id) id_of_unit_[units[id]] = static_cast<int32_t>(id);
}

std::vector<int32_t> CharacterTokenizer::encode(std::string_view text, SpecialTokens special) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size());
  const auto encode_part = [&](std::string_view part) {
    const auto part_begin = static_cast<size_t>(part.data() - text.data());
    for_each_unit(part, unit_, [&](uint32_t value, size_t offset) {
      if (value >= id_of_unit_.size() || id_of_unit_[value] < 0)
        throw DataError(fmt::format(
            "{} at byte {} of the text is not in the vocabulary of {} characters",
            unit_ == CharacterUnit::kByte ? fmt::format("0x{:02X}", value) : fmt::format("U+{:04X}", value),
            part_begin + offset, units_.size()));
      ids.push_back(id_of_unit_[value]);
    });
  };
  split_at_specials(text, special == SpecialTokens::kParse ? special_texts() : std::vector<SpecialText>{},
                    encode_part, [&](int32_t id) { ids.push_back(id); });
  return ids;
}

std::string CharacterTokenizer::hashed_details() const {
  return unit_ == CharacterUnit::kByte ? "byte" : "code_point";
}

Tokenizer::StoredFile CharacterTokenizer::stored() const {
  const nlohmann::ordered_json root = {{"type", "trireme-character"},
                                       {"version", 1},
                                       {"unit", unit_ == CharacterUnit::kByte ? "byte" : "code_point"},
                                       {"units", units_},
                                       {"end_of_document", end_of_document_id().has_value()}};
  return {"tokenizer.json", root.dump() + '\n'};
}

CharacterTrainer::CharacterTrainer(CharacterUnit unit) : unit_(unit), seen_(largest_value(unit) + 1) {}

void CharacterTrainer::add(std::string_view text) {
  for_each_unit(text, unit_, [&](uint32_t value, size_t) { seen_[value] = true; });
}

std::unique_ptr<CharacterTokenizer> CharacterTrainer::train(bool end_of_document) const {
  std::vector<uint32_t> units;
  for (uint32_t value = 0; value < seen_.size(); ++value)
    if (seen_[value]) units.push_back(value);
  if (units.empty()) throw DataError("there is no text to train a tokenizer on");
  return std::make_unique<CharacterTokenizer>(unit_, units, end_of_document);
}

std::unique_ptr<CharacterTokenizer> parse_character_json(const nlohmann::json& root,
                                                         const std::string& name) {
  try {
    if (root.at("version") != 1)
      throw DataError(fmt::format("version {} is not known, expected 1", root.at("version").dump()));
    const auto unit = root.at("unit").get<std::string>();
    if (unit != "byte" && unit != "code_point")
      throw DataError(fmt::format("unit is '{}', expected 'byte' or 'code_point'", unit));
    std::vector<uint32_t> units;
    for (const auto& value : root.at("units")) {
      if (!value.is_number_unsigned() || value > kLargestCodePoint)
        throw DataError(fmt::format("units has {}, expected whole numbers", value.dump()));
      units.push_back(value.get<uint32_t>());
    }
    if (units.empty()) throw DataError("units is empty");
    return std::make_unique<CharacterTokenizer>(
        unit == "byte" ? CharacterUnit::kByte : CharacterUnit::kCodePoint, units,
        root.at("end_of_document").get<bool>());
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format("{}: {}", name, error.what()));
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}: {}", name, error.what()));
  }
}

}  // namespace trireme
