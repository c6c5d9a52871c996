// A library for LD_PRELOAD: system calls on the files of one folder fail, as on a disk that breaks or is
// full.
//
//   TRIREME_FAILING_DISK=<call>:<nth>:<errno>:<rank>:<folder>
//     call    pwrite, fsync, posix_fallocate, mkdir or close
//     nth     which of this rank's calls below the folder fails, once; 0: none
//   TRIREME_ROOMY_DISK=1
//     statvfs reports room without end, so that a full disk is met in the middle of a write
//
// At its end a process says "failing disk: <number> calls of <call>" on standard error.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

std::string environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

/// The next field of `text`, up to a colon.
std::string take_field(std::string& text) {
  const size_t end = text.find(':');
  std::string field = text.substr(0, end);
  text.erase(0, end == std::string::npos ? end : end + 1);
  return field;
}

/// What is to fail, and how many calls there were.
class Plan {
 public:
  Plan() {
    std::string text = environment("TRIREME_FAILING_DISK", "");
    call_ = take_field(text);
    nth_ = std::atol(take_field(text).c_str());
    error_ = std::atoi(take_field(text).c_str());
    const std::string rank = take_field(text);
    folder_ = environment("OMPI_COMM_WORLD_RANK", "0") == rank ? text : "";
  }
  ~Plan() {
    if (num_calls_ > 0)
      std::fprintf(stderr, "failing disk: %ld calls of %s\n", num_calls_.load(), call_.c_str());
  }

  bool fails(const char* call, const std::string& path) {
    if (folder_.empty() || call_ != call || path.compare(0, folder_.size(), folder_) != 0) return false;
    if (++num_calls_ != nth_) return false;
    std::fprintf(stderr, "failing disk: %s of %s fails\n", call, path.c_str());
    errno = error_;
    return true;
  }
  bool fails(const char* call, int descriptor) {
    char path[PATH_MAX];
    const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
    const ssize_t length = ::readlink(link.c_str(), path, sizeof(path));
    return length > 0 && fails(call, std::string(path, static_cast<size_t>(length)));
  }
  int error() const { return error_; }

 private:
  std::string call_, folder_;
  long nth_ = 0;
  int error_ = 0;
  std::atomic<long> num_calls_{0};
};

Plan& plan() {
  static Plan plan;
  return plan;
}

template <class Function>
Function next(Function, const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

ssize_t pwrite(int descriptor, const void* bytes, size_t count, off_t offset) {
  return plan().fails("pwrite", descriptor) ? -1 : next(&pwrite, "pwrite")(descriptor, bytes, count, offset);
}

ssize_t pwrite64(int descriptor, const void* bytes, size_t count, off64_t offset) {
  return pwrite(descriptor, bytes, count, offset);
}

int fsync(int descriptor) {
  return plan().fails("fsync", descriptor) ? -1 : next(&fsync, "fsync")(descriptor);
}

int posix_fallocate(int descriptor, off_t offset, off_t length) {
  if (plan().fails("posix_fallocate", descriptor)) return plan().error();
  return next(&posix_fallocate, "posix_fallocate")(descriptor, offset, length);
}

int mkdir(const char* path, mode_t mode) noexcept {
  return plan().fails("mkdir", std::string(path)) ? -1 : next(&mkdir, "mkdir")(path, mode);
}

int close(int descriptor) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  const bool fails = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && plan().fails("close", descriptor);
  const int error = errno;
  const int status = next(&close, "close")(descriptor);
  if (!fails) return status;
  errno = error;
  return -1;
}

int statvfs(const char* path, struct statvfs* status) noexcept {
  const int result = next(&statvfs, "statvfs")(path, status);
  if (result == 0 && std::getenv("TRIREME_ROOMY_DISK") != nullptr) status->f_bavail = 1ul << 40;
  return result;
}

}  // extern "C"
