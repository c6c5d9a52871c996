#include "launcher/train/append_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/error.h"
#include "core/base/file.h"

namespace trireme {

AppendFile::AppendFile(std::string path)
    : path_(std::move(path)),
      descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0)
    throw IoError(fmt::format("{}: the file cannot be opened for writing: {}", path_, last_system_error()),
                  ExitCode::kCannotCreate);
}

AppendFile::~AppendFile() {
  ::close(descriptor_);
}

void AppendFile::write(const std::string& bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw IoError(fmt::format("{}: cannot be written: {}", path_, last_system_error()));
    done += static_cast<size_t>(written);
  }
}

}  // namespace trireme
