#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace trireme {

/// A whole file mapped for reading. Throws DataError when it is missing or not a regular file, IoError when
/// the system refuses.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  const std::byte* data() const { return data_; }
  int64_t size() const { return size_; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace trireme
