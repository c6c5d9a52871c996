#pragma once

#include <memory>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"

namespace trireme::comm {

/// Anonymous memory (memfd) that other processes of this host can map. It has no name in any file system:
/// nothing is left behind when a process dies, and every process unmaps on its own, so no teardown can hang.
class SharedMemory {
 public:
  /// Zeroed. Throws DeviceError when the system refuses.
  explicit SharedMemory(int64_t bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  std::byte* data() const { return data_; }
  int64_t size() const { return size_; }
  std::string ticket() const;  ///< what another process needs to map it

  /// Maps another process's memory; null when it cannot be reached (other host, other container).
  static std::unique_ptr<SharedMemory> map(const std::string& ticket);
  /// No process needs the descriptor once all have mapped.
  void close_descriptor();

 private:
  SharedMemory() = default;
  std::byte* mapping_ = nullptr;
  int64_t mapped_bytes_ = 0;
  std::byte* data_ = nullptr;  ///< after a page that holds the token
  int64_t size_ = 0;
  int descriptor_ = -1;
  uint64_t token_ = 0;
};

/// One block of shared memory per rank of a group, each mapped by every rank.
struct SharedBlocks {
  std::vector<std::unique_ptr<SharedMemory>> blocks;  ///< by rank
  std::byte* data(int rank) const { return blocks[static_cast<size_t>(rank)]->data(); }

  /// Collective; null on every rank when the ranks do not all see one memory.
  static std::shared_ptr<SharedBlocks> make(Communicator& group, int64_t bytes);
};

}  // namespace trireme::comm
