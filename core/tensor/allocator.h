#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

namespace trireme {

enum class MemoryCategory { kWeights, kGradients, kOptimizer, kActivations, kWorkspace };
inline constexpr int kNumMemoryCategories = 5;
const char* name_of(MemoryCategory category);

/// Bytes in use by category, now and at the highest total. Thread-safe through its Allocator.
struct MemoryLedger {
  std::array<int64_t, kNumMemoryCategories> current{};
  std::array<int64_t, kNumMemoryCategories> at_peak{};  ///< the split when the total was highest
  int64_t total = 0;
  int64_t peak = 0;

  void add(MemoryCategory category, int64_t bytes);  ///< negative bytes give back
  void reset_peak();
};

/// A block of memory with one owner. Destroying it gives the block back to whoever made it.
class Storage {
 public:
  virtual ~Storage() = default;
  std::byte* data() const { return data_; }
  int64_t size() const { return size_; }

 protected:
  Storage(std::byte* data, int64_t size) : data_(data), size_(size) {}
  std::byte* data_;
  int64_t size_;
};

/// Host memory, 64-byte aligned, cached: steps of one shape ask the system for nothing after the first, and
/// all that is held stays below 1.25 times the most in use. Thread-safe. Storages may outlive the Allocator.
class Allocator {
 public:
  Allocator();
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  /// Throws DeviceError naming category and bytes when the system has no memory left.
  std::shared_ptr<Storage> allocate(int64_t bytes, MemoryCategory category);
  /// Counts memory that came from elsewhere (a shared window) in the ledger.
  std::shared_ptr<Storage> adopt(std::shared_ptr<void> owner, std::byte* data, int64_t bytes,
                                 MemoryCategory category);

  MemoryLedger ledger() const;
  void reset_peak();
  void release_cached();  ///< gives cached blocks back to the system

  struct Pool;

 private:
  std::shared_ptr<Pool> pool_;
};

}  // namespace trireme
