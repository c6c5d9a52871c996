#pragma once

#include <string>

namespace trireme::io {

/// Holds `<directory>/.lock` for one job, until destruction or the end of the process (however it ends). The
/// file's content informs people and the error message of the second job; the lock itself is the kernel's.
class DirectoryLock {
 public:
  /// `holder` says who we are, in a line. IoError (exit 73) where another holds it (naming that holder) or
  /// the file cannot be written.
  DirectoryLock(const std::string& directory, const std::string& holder);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace trireme::io
