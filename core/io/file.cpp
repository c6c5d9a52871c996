#include "core/io/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/base/error.h"

namespace trireme::io {
namespace {

/// Linux moves at most 2 GiB - 4096 bytes in one call.
constexpr size_t kLargestPiece = size_t{1} << 30;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

void throw_errno(const std::string& action, const std::string& path, int error, ExitCode exit_code) {
  throw IoError(fmt::format("cannot {} '{}': {} (errno {})", action, path,
                            std::generic_category().message(error), error),
                exit_code);
}

File File::open_to_read(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) throw_errno("open", path, errno);
  File file(descriptor, path);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) throw_errno("examine", path, errno);
  if (!S_ISREG(status.st_mode)) throw IoError(fmt::format("'{}' is not a plain file", path));
  return file;
}

File File::create(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) throw_errno("create", path, errno);
  return File(descriptor, path);
}

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

int64_t File::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) throw_errno("examine", path_, errno);
  return status.st_size;
}

void File::read_at(int64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = ::pread(descriptor_, bytes.data(), std::min(bytes.size(), kLargestPiece), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno(fmt::format("read {} bytes at {} of", bytes.size(), offset), path_, errno);
    if (count == 0)
      throw IoError(
          fmt::format("'{}' ends at {} where {} more bytes are expected", path_, offset, bytes.size()));
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += count;
  }
}

void File::will_need(int64_t offset, int64_t bytes) const {
  ::posix_fadvise(descriptor_, offset, bytes, POSIX_FADV_WILLNEED);
}

void File::write_at(int64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), std::min(bytes.size(), kLargestPiece), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno(fmt::format("write {} bytes at {} of", bytes.size(), offset), path_, errno);
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += count;
  }
}

void File::reserve(int64_t bytes) {
  if (bytes == 0) return;
  int error = EINTR;
  while (error == EINTR) error = ::posix_fallocate(descriptor_, 0, bytes);
  if (error != 0) throw_errno(fmt::format("reserve {} bytes for", bytes), path_, error);
}

void File::sync() {
  if (::fsync(descriptor_) != 0) throw_errno("bring to the disk (fsync)", path_, errno);
}

void File::close() {
  const int descriptor = std::exchange(descriptor_, -1);
  if (descriptor >= 0 && ::close(descriptor) != 0 && errno != EINTR) throw_errno("close", path_, errno);
}

std::string read_file(const std::string& path, int64_t max_bytes) {
  const File file = File::open_to_read(path);
  const int64_t size = file.size();
  if (size > max_bytes)
    throw IoError(fmt::format("'{}' has {} bytes; at most {} are expected", path, size, max_bytes));
  std::string bytes(static_cast<size_t>(size), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
  return bytes;
}

bool is_plain_name(const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= 255 && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), allowed);
}

void write_new_file(const std::string& path, const std::string& bytes) {
  File file = File::create(path);
  file.write_at(0, bytes_of(bytes));
  file.sync();
  file.close();
}

}  // namespace trireme::io
