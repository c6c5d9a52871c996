#pragma once

#include <string>

#include "launcher/config/run_config.h"

namespace trireme {

/// A run file that says every value; loading it gives `config` again. `comments` adds each field's help;
/// `only`: a section alone, for including; empty:
/// all.
std::string to_yaml(const RunConfig& config, bool comments = false, const std::string& only = "");

/// One line of JSON with sorted keys: equal configurations give equal bytes. Used in checkpoints.
std::string to_canonical_json(const RunConfig& config);

/// JSON Schema (draft 2020-12) of a run file, for editors.
std::string to_json_schema();

/// Markdown tables of every key.
std::string to_markdown();

/// Every full key, one a line: for shell completion.
std::string to_key_list();

}  // namespace trireme
