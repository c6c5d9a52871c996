#include "parallel/checkpoint/retention.h"

#include <fmt/format.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/io/directory.h"
#include "parallel/checkpoint/step_directory.h"

namespace trireme::checkpoint {

void remove_leftovers(const std::string& directory) {
  for (const std::string& name : io::list_directory(directory)) {
    if (!name.starts_with(".tmp-")) continue;
    log::info("removing '{}/{}', which an interrupted save left", directory, name);
    io::remove_directory(directory + "/" + name);
  }
}

void set_aside_later_steps(const std::string& directory, int64_t step, const std::string& run_id) {
  for (const int64_t later : committed_steps(directory)) {
    if (later <= step) continue;
    const std::string name = step_directory_name(later);
    const std::string stem = fmt::format("{}/abandoned-{}-{}", directory, name, run_id);
    std::string target = stem;
    for (int attempt = 2; std::filesystem::exists(target); ++attempt)
      target = fmt::format("{}-{}", stem, attempt);
    io::rename_to_new(directory + "/" + name, target);
    log::warning("'{}/{}' is not of the history that this run continues; it is kept as '{}'", directory, name,
                 target);
  }
}

void remove_old_steps(const std::string& directory, int64_t keep_last) {
  if (keep_last == 0) return;
  try {
    const std::vector<int64_t> steps = committed_steps(directory);
    for (size_t i = 0; i + static_cast<size_t>(keep_last) < steps.size(); ++i) {
      const std::string name = step_directory_name(steps[i]);
      const std::string hidden = fmt::format("{}/.tmp-removed-{}", directory, name);
      io::rename_to_new(directory + "/" + name, hidden);
      io::remove_directory(hidden);
    }
  } catch (const Error& error) {
    log::warning("an old checkpoint could not be removed: {}", error.what());
  }
}

}  // namespace trireme::checkpoint
