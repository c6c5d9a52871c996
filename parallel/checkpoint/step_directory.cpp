#include "parallel/checkpoint/step_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/io/directory.h"

namespace trireme::checkpoint {

std::string step_directory_name(int64_t step) {
  return fmt::format("step-{:08}", step);
}

std::optional<int64_t> parse_step_directory_name(const std::string& name) {
  int64_t step = 0;
  if (!name.starts_with("step-")) return std::nullopt;
  const char* end = name.data() + name.size();
  const auto [stopped, error] = std::from_chars(name.data() + 5, end, step);
  if (error != std::errc() || stopped != end || step < 0 || step_directory_name(step) != name)
    return std::nullopt;
  return step;
}

std::vector<int64_t> committed_steps(const std::string& directory) {
  std::vector<int64_t> steps;
  for (const std::string& name : io::list_directory(directory))
    if (const std::optional<int64_t> step = parse_step_directory_name(name)) steps.push_back(*step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

}  // namespace trireme::checkpoint
