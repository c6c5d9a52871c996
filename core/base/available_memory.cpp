#include "core/base/available_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

/// How one version of control groups says what a group may take and has taken.
struct Version {
  const char* folder;  ///< where its groups are
  const char* limit;
  const char* usage;
  const char* inactive_files;  ///< of memory.stat, with the groups below
  const char* active_files;
};
constexpr Version kVersion1 = {"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                               "total_inactive_file", "total_active_file"};
constexpr Version kVersion2 = {"sys/fs/cgroup", "memory.max", "memory.current", "inactive_file",
                               "active_file"};

/// The number with which a file begins; nothing where it has none ("max").
std::optional<int64_t> number_in(const fs::path& file) {
  std::ifstream stream(file);
  int64_t number = 0;
  return stream >> number ? std::optional(number) : std::nullopt;
}

/// The number after `name` in lines of names and numbers.
std::optional<int64_t> number_after(const std::string& name, const fs::path& file) {
  std::ifstream stream(file);
  std::string word;
  for (int64_t number = 0; stream >> word >> number;) {
    if (word == name) return number;
    stream.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::nullopt;
}

int64_t left_in_group(const Version& version, const fs::path& group) {
  const std::optional<int64_t> limit = number_in(group / version.limit);
  const std::optional<int64_t> usage = number_in(group / version.usage);
  if (!limit || !usage) return kNoLimit;
  int64_t used = *usage;
  for (const char* files : {version.inactive_files, version.active_files})
    used -= number_after(files, group / "memory.stat").value_or(0);
  return std::max<int64_t>(0, *limit - std::max<int64_t>(0, used));
}

/// The least of a group and those above it. A container may see its own group as the topmost.
int64_t left_up_to_the_top(const Version& version, const fs::path& root, const std::string& group) {
  const fs::path top = root / version.folder;
  int64_t least = left_in_group(version, top);
  for (fs::path path = fs::path(group).lexically_normal().relative_path(); !path.empty();
       path = path.parent_path())
    least = std::min(least, left_in_group(version, top / path));
  return least;
}

}  // namespace

int64_t available_memory(const fs::path& root) {
  int64_t least = kNoLimit;
  if (const auto kibibytes = number_after("MemAvailable:", root / "proc/meminfo")) least = *kibibytes * 1024;
  // number:controllers:group; version 2 names no controllers
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string number, controllers, group; std::getline(groups, number, ':') &&
                                               std::getline(groups, controllers, ':') &&
                                               std::getline(groups, group);) {
    if (controllers.empty())
      least = std::min(least, left_up_to_the_top(kVersion2, root, group));
    else if (("," + controllers + ",").find(",memory,") != std::string::npos)
      least = std::min(least, left_up_to_the_top(kVersion1, root, group));
  }
  return least;
}

}  // namespace trireme
