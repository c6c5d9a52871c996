#include "launcher/commands/machine.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <span>
#include <sstream>

#include "core/io/file.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

int64_t memory_bytes(const char* kind) {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    int64_t kibibytes = 0;
    words >> name >> kibibytes;
    if (name == std::string(kind) + ":") return kibibytes * 1024;
  }
  return 0;
}

SpaceOf space_of(const std::string& folder) {
  struct statvfs info = {};
  if (statvfs(folder.c_str(), &info) != 0) return {};
  const int64_t block = static_cast<int64_t>(info.f_frsize);
  return {static_cast<int64_t>(info.f_blocks) * block, static_cast<int64_t>(info.f_bavail) * block};
}

double memory_bandwidth(Context& context) {
  constexpr int64_t kElements = int64_t{1} << 24;  // 64 MiB an array
  Tensor tensors[3];
  float* arrays[3];
  for (int i = 0; i < 3; ++i) {
    tensors[i] = context.zeros({kElements}, DType::kFloat32, MemoryCategory::kWorkspace);
    arrays[i] = tensors[i].data<float>();
  }
  double best = 1e30;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = Clock::now();
#pragma omp parallel for num_threads(context.num_threads)
    for (int64_t i = 0; i < kElements; ++i) arrays[0][i] = arrays[1][i] + 3.0f * arrays[2][i];
    best = std::min(best, seconds_since(start));
  }
  return 3.0 * kElements * sizeof(float) / best;
}

double disk_write_speed(const std::string& folder) {
  constexpr size_t kBytes = size_t{64} << 20;
  const std::string path = folder + "/.trireme-doctor-" + std::to_string(getpid());
  const std::string bytes(kBytes, 'x');
  io::File file = io::File::create(path);
  unlink(path.c_str());  // gone when it is closed, whatever happens
  const auto start = Clock::now();
  file.write_at(0, std::as_bytes(std::span(bytes)));
  file.sync();
  return static_cast<double>(kBytes) / seconds_since(start);
}

}  // namespace trireme
