#pragma once

#include <string>
#include <vector>

#include "launcher/config/run_config.h"

namespace trireme {

/// Reads a run file with its includes, then `overrides` ("optimizer.lr=1e-3", or "lr=1e-3" where the leaf
/// name is unique; values are YAML). An empty training.output_dir becomes runs/<stem of the file>. Throws one
/// ConfigError with everything that is wrong.
RunConfig load_run_config(const std::string& path, const std::vector<std::string>& overrides = {});

/// The same from text; `origin` names it in messages.
RunConfig parse_run_config(const std::string& text, const std::string& origin,
                           const std::vector<std::string>& overrides = {});

}  // namespace trireme
