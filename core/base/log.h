#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace trireme::log {

enum class Level { kInfo, kWarning, kError };

/// Sets what is printed (to standard error) and the prefix that names this process, e.g. "rank 3 host a".
void configure(Level level, const std::string& prefix);
void write(Level level, std::string_view message);

template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace trireme::log
