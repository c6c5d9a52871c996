#pragma once

#include <string>
#include <string_view>

namespace trireme {

/// The bytes of a whole file. Throws DataError when it is missing or no regular file, IoError when reading
/// fails.
std::string read_file(const std::string& path);

/// Writes beside `path`, fsyncs and renames: after a crash the old or the new file is there, whole. Throws
/// IoError (exit 73 where the file cannot be made).
void replace_file(const std::string& path, std::string_view content);

/// The reason of the last failed system call (errno) in words, for messages.
std::string last_system_error();

}  // namespace trireme
