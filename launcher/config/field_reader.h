#pragma once

#include "launcher/config/config_tree.h"
#include "launcher/config/run_config.h"

namespace trireme {

/// Reads a section's mapping into its struct. Wrong types, values out of range, unknown choices and unknown
/// keys (with the nearest of `known_keys`) are problems; a field with a problem keeps its value.
void read_section(const ConfigSection& section, const ConfigNode& node,
                  const std::vector<std::string>& known_keys, ConfigProblems& problems);

/// "unknown key", with the nearest known one where there is one.
std::string unknown_key_message(const std::string& key, const std::vector<std::string>& known_keys);

}  // namespace trireme
