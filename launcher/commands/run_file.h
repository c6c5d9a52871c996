#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "launcher/config/load.h"

namespace trireme {

/// The argument RUN and its --set options, as several commands take them.
struct RunFile {
  std::string path;
  std::vector<std::string> overrides;

  void add_to(CLI::App& command) {
    command.add_option("RUN", path, "Run file (YAML)")->required()->type_name("FILE");
    command
        .add_option("--set", overrides, "Replace a value: optimizer.lr=1e-3, or lr=1e-3 where that is unique")
        ->type_name("KEY=VALUE")
        ->take_all()
        ->allow_extra_args(false);
  }
  RunConfig load() const { return load_run_config(path, overrides); }
};

}  // namespace trireme
