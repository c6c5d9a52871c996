#include "core/io/directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/io/file.h"

namespace trireme::io {

void make_directories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw_errno("create the directory", path, error.value(), ExitCode::kCannotCreate);
  if (!std::filesystem::is_directory(path, error))
    throw IoError(fmt::format("'{}' exists and is not a directory", path), ExitCode::kCannotCreate);
}

void make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) != 0)
    throw_errno("create the directory", path, errno, ExitCode::kCannotCreate);
}

void remove_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) throw_errno("remove the directory", path, error.value());
}

std::vector<std::string> list_directory(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entries(path, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error))
    names.push_back(entries->path().filename().string());
  if (error) throw_errno("list the directory", path, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

std::string parent_directory(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

void sync_directory(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw_errno("open the directory", path, errno);
  const int status = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  // Some file systems cannot sync a directory and say EINVAL; their renames are ordered by themselves.
  if (status != 0 && error != EINVAL) throw_errno("bring to the disk (fsync) the directory", path, error);
}

int64_t free_bytes(const std::string& path) {
  struct statvfs status {};
  if (::statvfs(path.c_str(), &status) != 0) throw_errno("examine the file system of", path, errno);
  return static_cast<int64_t>(status.f_bavail) * static_cast<int64_t>(status.f_frsize);
}

void rename_to_new(const std::string& from, const std::string& to) {
  long status = ::syscall(SYS_renameat2, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
  if (status != 0 && (errno == EINVAL || errno == ENOSYS)) {
    struct stat existing {};
    if (::lstat(to.c_str(), &existing) == 0) throw_errno("rename '" + from + "' to", to, EEXIST);
    status = std::rename(from.c_str(), to.c_str());
  }
  if (status != 0) throw_errno("rename '" + from + "' to", to, errno);
  sync_directory(parent_directory(to));
  if (parent_directory(from) != parent_directory(to)) sync_directory(parent_directory(from));
}

void exchange_directories(const std::string& a, const std::string& b) {
  if (::syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) != 0)
    throw_errno("exchange '" + a + "' with", b, errno);
  sync_directory(parent_directory(b));
  if (parent_directory(a) != parent_directory(b)) sync_directory(parent_directory(a));
}

void link_file(const std::string& from, const std::string& to) {
  if (::link(from.c_str(), to.c_str()) != 0) throw_errno("link '" + from + "' to", to, errno);
}

TemporaryDirectory::TemporaryDirectory(std::string path) : path_(std::move(path)) {
  make_directory(path_);
}

TemporaryDirectory::~TemporaryDirectory() {
  if (committed_) return;
  // A name that nobody knows: what still writes into it cannot put a new file there.
  const std::string hidden = path_ + "-removed";
  const bool is_hidden = std::rename(path_.c_str(), hidden.c_str()) == 0;
  try {
    remove_directory(is_hidden ? hidden : path_);
  } catch (const Error& error) {
    log::warning("{}", error.what());
  }
}

void TemporaryDirectory::commit(const std::string& final_path) {
  sync_directory(path_);
  rename_to_new(path_, final_path);
  committed_ = true;
}

}  // namespace trireme::io
