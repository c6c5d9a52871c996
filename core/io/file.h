#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/exit_code.h"

namespace trireme::io {

/// An open file; every call is checked and complete (short reads and writes are continued). Errors: IoError
/// naming file, operation, bytes and errno. Movable, closes on destruction.
class File {
 public:
  static File open_to_read(const std::string& path);  ///< a plain file; links are refused
  static File create(const std::string& path);        ///< must not exist yet
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  int64_t size() const;
  void read_at(int64_t offset, std::span<std::byte> bytes) const;  ///< all of them, or IoError
  /// Asks for a range to be brought from the disk meanwhile; a hint.
  void will_need(int64_t offset, int64_t bytes) const;
  void write_at(int64_t offset, std::span<const std::byte> bytes);
  void reserve(int64_t bytes);  ///< makes the file this long, with its blocks allocated, reading zeros
  void sync();                  ///< fsync; after a failure the file must be given up, never synced again
  void close();                 ///< reports what the destructor could not

 private:
  File(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  int descriptor_ = -1;
  std::string path_;
};

/// The bytes of a file of at most `max_bytes`.
std::string read_file(const std::string& path, int64_t max_bytes);
/// A new file that lasts: written, fsynced, closed.
void write_new_file(const std::string& path, const std::string& bytes);

/// Whether `name` is a file name without folders: letters, digits, '.', '_', '-', not starting with '.'.
bool is_plain_name(const std::string& name);

/// Throws IoError: "cannot <action> '<path>': <text of error> (errno <error>)".
[[noreturn]] void throw_errno(const std::string& action, const std::string& path, int error,
                              ExitCode exit_code = ExitCode::kInputOutput);

}  // namespace trireme::io
