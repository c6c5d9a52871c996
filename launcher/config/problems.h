#pragma once

#include <fmt/format.h>

#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace trireme {

/// Collects what is wrong with a configuration, so that all of it is told at once.
class ConfigProblems {
 public:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    lines_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  /// Takes over what another check threw, line by line.
  void add(const ConfigError& error) {
    std::istringstream text(error.what());
    for (std::string line; std::getline(text, line);) lines_.push_back(line);
  }

  bool empty() const { return lines_.empty(); }

  /// Throws one ConfigError with every problem, if there is any.
  void throw_if_any() const {
    if (lines_.empty()) return;
    if (lines_.size() == 1) throw ConfigError(lines_.front());
    std::string message = fmt::format("{} problems in the configuration:", lines_.size());
    for (const std::string& line : lines_) message += "\n  " + line;
    throw ConfigError(message);
  }

 private:
  std::vector<std::string> lines_;
};

}  // namespace trireme
