#include "core/io/directory_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/error.h"
#include "core/io/file.h"

namespace trireme::io {
namespace {

std::string first_line(int descriptor) {
  std::array<char, 512> buffer{};
  const ssize_t count = ::pread(descriptor, buffer.data(), buffer.size(), 0);
  const std::string text(buffer.data(), count > 0 ? static_cast<size_t>(count) : 0);
  return text.substr(0, text.find('\n'));
}

}  // namespace

DirectoryLock::DirectoryLock(const std::string& directory, const std::string& holder) {
  const std::string path = directory + "/.lock";
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor_ < 0) throw_errno("create", path, errno, ExitCode::kCannotCreate);
  // An "open file description" lock also keeps two holders in one process apart.
  struct flock region {};
  region.l_type = F_WRLCK;
  region.l_whence = SEEK_SET;
  if (::fcntl(descriptor_, F_OFD_SETLK, &region) != 0) {
    const int error = errno;
    const std::string other = first_line(descriptor_);
    ::close(descriptor_);
    if (error != EAGAIN && error != EACCES) throw_errno("lock", path, error, ExitCode::kCannotCreate);
    throw IoError(fmt::format("'{}' is in use by another job ({}); wait for it to end, or give this one "
                              "another output_dir",
                              directory, other.empty() ? "unknown" : other),
                  ExitCode::kCannotCreate);
  }
  const std::string line = holder + "\n";
  if (::ftruncate(descriptor_, 0) != 0 ||
      ::pwrite(descriptor_, line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    const int error = errno;
    ::close(descriptor_);
    throw_errno("write", path, error, ExitCode::kCannotCreate);
  }
}

DirectoryLock::~DirectoryLock() {
  ::close(descriptor_);
}

}  // namespace trireme::io
