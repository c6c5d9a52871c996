#include "launcher/config/load.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "core/text/utf8.h"
#include "launcher/config/field_reader.h"

namespace trireme {
namespace {

std::vector<std::string> known_keys() {
  std::vector<std::string> keys;
  for (const FieldEntry& entry : list_fields(RunConfig())) keys.push_back(entry.key());
  return keys;
}

/// The full key a bare leaf name stands for; "" and a problem when it is none or several.
std::string full_key(const std::string& name, const std::string& place, const std::vector<std::string>& known,
                     ConfigProblems& problems) {
  if (name.find('.') != std::string::npos) return name;
  std::vector<std::string> found;
  for (const std::string& key : known)
    if (key.ends_with("." + name)) found.push_back(key);
  if (found.size() == 1) return found.front();
  if (found.empty())
    problems.add("{}: {}: {}", place, name, unknown_key_message(name, known));
  else
    problems.add("{}: {}: could be {}; write one in full", place, name, fmt::join(found, " or "));
  return "";
}

void apply_override(const std::string& text, ConfigNode& tree, const std::vector<std::string>& known,
                    ConfigProblems& problems) {
  const std::string place = "--set " + text;
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    problems.add("{}: given no key, expected key=value", place);
    return;
  }
  const std::string key = full_key(text.substr(0, equals), place, known, problems);
  if (key.empty()) return;
  const size_t dot = key.find('.');
  ConfigNode leaf, section;
  section.kind = leaf.kind = ConfigNode::Kind::kMap;
  section.place = leaf.place = place;
  leaf.entries.push_back(
      {key.substr(dot + 1), place, parse_config_text(text.substr(equals + 1), place, false, problems)});
  substitute_environment(leaf.entries[0].value, key, problems);
  if (leaf.entries[0].value.place.empty()) leaf.entries[0].value.place = place;
  section.entries.push_back({key.substr(0, dot), place, std::move(leaf)});
  tree.merge(std::move(section));
}

RunConfig read_tree(ConfigNode tree, const std::vector<std::string>& overrides, ConfigProblems& problems) {
  const std::vector<std::string> known = known_keys();
  for (const std::string& text : overrides) apply_override(text, tree, known, problems);

  RunConfig config;
  std::vector<ConfigSection> sections = sections_of(config);
  for (const ConfigEntry& entry : tree.entries) {
    const auto section = std::find_if(sections.begin(), sections.end(),
                                      [&](const ConfigSection& one) { return entry.key == one.name; });
    if (section != sections.end()) {
      read_section(*section, entry.value, known, problems);
      continue;
    }
    std::vector<std::string> candidates = known;
    for (const ConfigSection& one : sections) candidates.push_back(one.name);
    problems.add("{}: {}: {}", entry.place, entry.key, unknown_key_message(entry.key, candidates));
  }
  problems.throw_if_any();
  return config;
}

}  // namespace

RunConfig load_run_config(const std::string& path, const std::vector<std::string>& overrides) {
  ConfigProblems problems;
  ConfigNode tree = load_config_tree(path, problems);
  RunConfig config = read_tree(std::move(tree), overrides, problems);
  if (config.training.output_dir.empty()) {
    if (valid_utf8_prefix(path) != path.size())
      throw ConfigError(path +
                        ": given a name that is not UTF-8, expected one that is, or training.output_dir");
    config.training.output_dir =
        (std::filesystem::path("runs") / std::filesystem::path(path).stem()).string();
  }
  return config;
}

RunConfig parse_run_config(const std::string& text, const std::string& origin,
                           const std::vector<std::string>& overrides) {
  ConfigProblems problems;
  ConfigNode tree = parse_config_text(text, origin, true, problems);
  if (tree.kind == ConfigNode::Kind::kNull) tree.kind = ConfigNode::Kind::kMap;
  if (tree.kind != ConfigNode::Kind::kMap)
    problems.add("{}: given {}, expected sections such as `model:`", tree.place, describe(tree));
  return read_tree(std::move(tree), overrides, problems);
}

}  // namespace trireme
