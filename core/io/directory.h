#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trireme::io {

/// Creates a directory and its missing parents. IoError with exit 73 where that is impossible.
void make_directories(const std::string& path);
/// Creates one directory that must not exist yet.
void make_directory(const std::string& path);
/// Removes a directory and everything in it; nothing where it does not exist.
void remove_directory(const std::string& path);
/// Names in a directory, sorted, without "." and "..".
std::vector<std::string> list_directory(const std::string& path);
std::string parent_directory(const std::string& path);
/// Makes the names in a directory last (fsync).
void sync_directory(const std::string& path);
/// Bytes that this user may still write to the file system of `path`.
int64_t free_bytes(const std::string& path);
/// Gives `from` the name `to`, which must not exist, and makes both directories last. This is the commit of
/// an atomically written directory. On file systems without RENAME_NOREPLACE the caller's lock protects the
/// moment between the check and the rename.
void rename_to_new(const std::string& from, const std::string& to);
/// Makes two directories of one file system change names in one call, and that last. IoError where the file
/// system cannot: then nothing has changed.
void exchange_directories(const std::string& a, const std::string& b);
/// A second name for a file; it must not exist yet.
void link_file(const std::string& from, const std::string& to);

/// A directory that removes itself unless it was committed: what is in it is never seen half-written.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(std::string path);  ///< makes it; it must not exist yet
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  /// Makes its files' names last, then rename_to_new(path(), final_path).
  void commit(const std::string& final_path);

 private:
  std::string path_;
  bool committed_ = false;
};

}  // namespace trireme::io
