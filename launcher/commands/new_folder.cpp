#include "launcher/commands/new_folder.h"

#include <fmt/format.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/io/directory.h"

namespace trireme {

namespace fs = std::filesystem;

std::string new_folder(const std::string& path) {
  std::string folder = fs::path(path).lexically_normal().string();
  if (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  if (fs::exists(fs::symlink_status(folder)))
    throw IoError(fmt::format("--output: '{}' exists already; give a folder that does not", path),
                  ExitCode::kCannotCreate);
  io::make_directories(io::parent_directory(folder));
  return folder;
}

}  // namespace trireme
