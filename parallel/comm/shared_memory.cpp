#include "parallel/comm/shared_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>

#include "core/base/error.h"

namespace trireme::comm {
namespace {

constexpr int64_t kPage = 4096;

}  // namespace

SharedMemory::SharedMemory(int64_t bytes) : size_(bytes) {
  mapped_bytes_ = kPage + (bytes + kPage - 1) / kPage * kPage;
  descriptor_ = memfd_create("trireme", MFD_CLOEXEC);
  void* address = MAP_FAILED;
  if (descriptor_ >= 0 && ftruncate(descriptor_, mapped_bytes_) == 0)
    address =
        mmap(nullptr, static_cast<size_t>(mapped_bytes_), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
  if (address == MAP_FAILED) {
    const int reason = errno;
    close_descriptor();
    throw DeviceError(
        fmt::format("{} bytes of shared memory were refused: {}", mapped_bytes_, std::strerror(reason)));
  }
  mapping_ = static_cast<std::byte*>(address);
  data_ = mapping_ + kPage;
  std::random_device random;
  token_ = uint64_t{random()} << 32 | random();
  std::memcpy(mapping_, &token_, sizeof(token_));
}

SharedMemory::~SharedMemory() {
  if (mapping_ != nullptr) munmap(mapping_, static_cast<size_t>(mapped_bytes_));
  close_descriptor();
}

void SharedMemory::close_descriptor() {
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
}

std::string SharedMemory::ticket() const {
  return fmt::format("{} {} {} {}", getpid(), descriptor_, size_, token_);
}

std::unique_ptr<SharedMemory> SharedMemory::map(const std::string& ticket) {
  int process = 0, descriptor = 0;
  long size = 0;
  unsigned long token = 0;
  if (std::sscanf(ticket.c_str(), "%d %d %ld %lu", &process, &descriptor, &size, &token) != 4) return nullptr;
  const int opened = open(fmt::format("/proc/{}/fd/{}", process, descriptor).c_str(), O_RDWR | O_CLOEXEC);
  if (opened < 0) return nullptr;
  std::unique_ptr<SharedMemory> memory(new SharedMemory);
  memory->descriptor_ = opened;
  memory->size_ = size;
  memory->mapped_bytes_ = kPage + (size + kPage - 1) / kPage * kPage;
  // A file of another length is a namesake on another host or in another container.
  if (lseek(opened, 0, SEEK_END) != memory->mapped_bytes_) return nullptr;
  void* address = mmap(nullptr, static_cast<size_t>(memory->mapped_bytes_), PROT_READ | PROT_WRITE,
                       MAP_SHARED, opened, 0);
  if (address == MAP_FAILED) return nullptr;
  memory->mapping_ = static_cast<std::byte*>(address);
  memory->data_ = memory->mapping_ + kPage;
  if (std::memcmp(memory->mapping_, &token, sizeof(token)) != 0) return nullptr;
  memory->close_descriptor();
  return memory;
}

std::shared_ptr<SharedBlocks> SharedBlocks::make(Communicator& group, int64_t bytes) {
  const auto result = std::make_shared<SharedBlocks>();
  std::unique_ptr<SharedMemory> mine;
  try {
    mine = std::make_unique<SharedMemory>(bytes);
  } catch (const DeviceError&) {  // the group then does without
  }
  const std::vector<std::string> tickets = group.gather_bytes(mine ? mine->ticket() : "");
  bool complete = mine != nullptr;
  for (int rank = 0; rank < group.size() && complete; ++rank) {
    result->blocks.push_back(rank == group.rank() ? std::move(mine)
                                                  : SharedMemory::map(tickets[static_cast<size_t>(rank)]));
    complete = result->blocks.back() != nullptr;
  }
  const std::vector<std::string> votes = group.gather_bytes(complete ? "yes" : "no");
  if (std::count(votes.begin(), votes.end(), "yes") != group.size()) return nullptr;
  result->blocks[static_cast<size_t>(group.rank())]->close_descriptor();
  return result;
}

}  // namespace trireme::comm
