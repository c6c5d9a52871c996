#include "core/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "core/base/error.h"

namespace trireme {
namespace {

struct Descriptor {
  int value;
  explicit Descriptor(int number) : value(number) {}
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

}  // namespace

std::string last_system_error() {
  return std::generic_category().message(errno);
}

std::string read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.value < 0) throw DataError(fmt::format("{}: cannot be opened: {}", path, last_system_error()));
  struct stat status;
  if (::fstat(file.value, &status) != 0)
    throw IoError(fmt::format("{}: cannot be examined: {}", path, last_system_error()));
  if (S_ISDIR(status.st_mode)) throw DataError(fmt::format("{}: is a folder, expected a file", path));
  std::string content(static_cast<size_t>(status.st_size), '\0');
  size_t length = 0;
  while (true) {
    // A pipe or a growing file has more than its size said.
    if (length == content.size()) content.resize(content.size() + 65536);
    const ssize_t count = ::read(file.value, content.data() + length, content.size() - length);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw IoError(fmt::format("{}: reading failed: {}", path, last_system_error()));
    if (count == 0) break;
    length += static_cast<size_t>(count);
  }
  content.resize(length);
  return content;
}

void replace_file(const std::string& path, std::string_view content) {
  const std::string temporary = fmt::format("{}.tmp-{}", path, ::getpid());
  const auto fail = [&](const char* what, ExitCode exit_code = ExitCode::kInputOutput) {
    const std::string reason = last_system_error();
    ::unlink(temporary.c_str());
    throw IoError(fmt::format("{}: {} failed: {}", path, what, reason), exit_code);
  };
  {
    const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (file.value < 0)
      throw IoError(fmt::format("{}: cannot be created: {}", temporary, last_system_error()),
                    ExitCode::kCannotCreate);
    while (!content.empty()) {
      const ssize_t count = ::write(file.value, content.data(), content.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail("writing");
      content.remove_prefix(static_cast<size_t>(count));
    }
    if (::fsync(file.value) != 0) fail("flushing");
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) fail("renaming into place", ExitCode::kCannotCreate);
  const std::string parent = std::filesystem::path(path).parent_path().string();
  const Descriptor folder(::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.value < 0 || ::fsync(folder.value) != 0)
    throw IoError(fmt::format("{}: its folder cannot be brought to the disk: {}", path, last_system_error()));
}

}  // namespace trireme
