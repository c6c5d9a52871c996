#pragma once

#include <string>

namespace trireme {

/// A file that grows at its end; closes on destruction.
class AppendFile {
 public:
  /// Makes the file where it is missing. Throws IoError (exit 73) naming it and the cause.
  explicit AppendFile(std::string path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  const std::string& path() const { return path_; }
  /// Appends all of `bytes`, in one system call where the disk takes them. Throws IoError (exit 74).
  void write(const std::string& bytes);

 private:
  std::string path_;
  int descriptor_;
};

}  // namespace trireme
