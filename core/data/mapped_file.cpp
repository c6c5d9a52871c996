#include "core/data/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/file.h"

namespace trireme {

MappedFile::MappedFile(const std::string& path) : path_(path) {
  // O_NONBLOCK: a pipe is refused below instead of waited for.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) throw DataError(fmt::format("{}: cannot be opened: {}", path, last_system_error()));
  struct stat status;
  const bool examined = ::fstat(descriptor, &status) == 0;
  if (!examined || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    throw DataError(fmt::format("{}: is not a regular file", path));
  }
  size_ = status.st_size;
  void* address = size_ == 0
                      ? nullptr
                      : ::mmap(nullptr, static_cast<size_t>(size_), PROT_READ, MAP_SHARED, descriptor, 0);
  const std::string reason = last_system_error();
  ::close(descriptor);
  if (address == MAP_FAILED)
    throw IoError(fmt::format("{}: mapping {} bytes into memory failed: {}", path, size_, reason));
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), static_cast<size_t>(size_));
}

}  // namespace trireme
