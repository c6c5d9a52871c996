#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace trireme::testing {

/// What a program printed and returned; a negative exit code is the signal that ended it.
struct ProgramResult {
  int exit_code = 0;
  std::string out;
  std::string error;
};

/// Runs a program in `folder` with extra environment variables and waits for it. With `input`, it reads that
/// from standard input, else nothing.
ProgramResult run_program(const std::vector<std::string>& command, const std::filesystem::path& folder = ".",
                          const std::map<std::string, std::string>& environment = {},
                          const std::string& input = "");

/// A folder that is removed with everything in it at the end of the scope.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Writes a file below the folder, making the folders above it; gives its path.
  std::filesystem::path write(const std::string& name, const std::string& text) const;

 private:
  std::filesystem::path path_;
};

std::string read_file(const std::filesystem::path& path);

}  // namespace trireme::testing
