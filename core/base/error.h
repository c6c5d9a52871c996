#pragma once

#include <stdexcept>
#include <string>

#include "core/base/exit_code.h"

namespace trireme {

/// Everything that a user, a file or the machine can cause. The message says where, what was given, what was
/// expected and what to do. Our own bugs are `InternalError`, raised by TRIREME_ASSERT.
class Error : public std::runtime_error {
 public:
  Error(ExitCode exit_code, const std::string& message)
      : std::runtime_error(message), exit_code_(exit_code) {}
  ExitCode exit_code() const { return exit_code_; }

 private:
  ExitCode exit_code_;
};

/// Wrong command line or configuration.
struct ConfigError : Error {
  explicit ConfigError(const std::string& message) : Error(ExitCode::kUsage, message) {}
};
/// An operation was called with shapes, types or layouts it does not take.
struct ShapeError : Error {
  explicit ShapeError(const std::string& message) : Error(ExitCode::kInternal, message) {}
};
/// A device is missing, out of memory or failing.
struct DeviceError : Error {
  explicit DeviceError(const std::string& message) : Error(ExitCode::kDevice, message) {}
};
/// Another rank failed, disagrees or does not answer.
struct CommError : Error {
  explicit CommError(const std::string& message, ExitCode exit_code = ExitCode::kDevice)
      : Error(exit_code, message) {}
};
/// A checkpoint is missing, damaged or of another kind.
struct CheckpointError : Error {
  explicit CheckpointError(const std::string& message, ExitCode exit_code = ExitCode::kBadData)
      : Error(exit_code, message) {}
};
/// A data set, a tokenizer or another input file is missing, damaged or of another kind.
struct DataError : Error {
  explicit DataError(const std::string& message) : Error(ExitCode::kBadData, message) {}
};
/// The operating system refused a read, a write or a new file.
struct IoError : Error {
  explicit IoError(const std::string& message, ExitCode exit_code = ExitCode::kInputOutput)
      : Error(exit_code, message) {}
};
/// A bug of Trireme itself.
struct InternalError : Error {
  explicit InternalError(const std::string& message) : Error(ExitCode::kInternal, message) {}
};

}  // namespace trireme
