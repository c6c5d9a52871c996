#include "core/tensor/allocator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <iterator>
#include <list>
#include <map>

#include "core/base/error.h"

namespace trireme {
namespace {

constexpr int64_t kAlignment = 64;

/// Size classes: eight per power of two, so a cached block is at most 12.5 % larger than what was asked.
int64_t size_class(int64_t bytes) {
  int64_t step = kAlignment;
  while (step * 16 < bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

}  // namespace

const char* name_of(MemoryCategory category) {
  static constexpr std::array<const char*, kNumMemoryCategories> kNames = {
      "weights", "gradients", "optimizer", "activations", "workspace"};
  return kNames[static_cast<size_t>(category)];
}

void MemoryLedger::add(MemoryCategory category, int64_t bytes) {
  current[static_cast<size_t>(category)] += bytes;
  total += bytes;
  if (total > peak) {
    peak = total;
    at_peak = current;
  }
}

void MemoryLedger::reset_peak() {
  peak = total;
  at_peak = current;
}

namespace {

/// Memory of the system, at least as large as what uses it.
struct Block {
  std::byte* data = nullptr;
  int64_t bytes = 0;
};

/// Blocks that nothing uses, by size and by age.
class FreeBlocks {
 public:
  ~FreeBlocks() { release(0); }

  int64_t bytes() const { return bytes_; }
  void add(Block block) {
    by_age_.push_back(block);
    by_size_[block.bytes].push_back(std::prev(by_age_.end()));
    bytes_ += block.bytes;
  }
  /// The smallest that `bytes` fit into, the newest of its size; nothing where half as much would be wasted.
  Block take(int64_t bytes) {
    const auto found = by_size_.lower_bound(bytes);
    if (found == by_size_.end() || found->first > bytes + bytes / 2) return {};
    const auto block = found->second.back();
    found->second.pop_back();
    return remove(found, block);
  }
  /// Gives the oldest back to the system until `bytes` are left.
  void release(int64_t bytes) {
    while (bytes_ > bytes) {
      const auto found = by_size_.find(by_age_.front().bytes);
      found->second.pop_front();
      std::free(remove(found, by_age_.begin()).data);
    }
  }

 private:
  using Aged = std::list<Block>;
  using Sized = std::map<int64_t, std::deque<Aged::iterator>>;

  Block remove(Sized::iterator size, Aged::iterator block) {
    const Block removed = *block;
    if (size->second.empty()) by_size_.erase(size);
    by_age_.erase(block);
    bytes_ -= removed.bytes;
    return removed;
  }

  Aged by_age_;  ///< the oldest first
  Sized by_size_;
  int64_t bytes_ = 0;
};

}  // namespace

/// All that is held, in use and cached, stays below 1.25 times the most that was in use.
struct Allocator::Pool {
  mutable std::mutex mutex;
  MemoryLedger ledger;
  FreeBlocks free_blocks;
  int64_t used = 0;  ///< bytes of the blocks in use
  int64_t most_used = 0;

  Block take(int64_t bytes, MemoryCategory category) {
    const std::lock_guard lock(mutex);
    Block block = free_blocks.take(bytes);
    if (block.data == nullptr) block = from_system(bytes);
    if (block.data == nullptr)
      throw DeviceError(
          fmt::format("out of memory: {} bytes for {} asked, {} bytes in use by this rank; use a smaller "
                      "micro_batch_size or "
                      "seq_length, or recompute_granularity: full",
                      bytes, name_of(category), ledger.total));
    used += block.bytes;
    most_used = std::max(most_used, used);
    ledger.add(category, bytes);
    return block;
  }

  void give_back(const Block& block, int64_t bytes, MemoryCategory category) {
    const std::lock_guard lock(mutex);
    free_blocks.add(block);
    used -= block.bytes;
    ledger.add(category, -bytes);
  }

 private:
  /// Where shapes change from step to step, blocks of sizes that are not asked for any more would pile up.
  Block from_system(int64_t bytes) {
    const int64_t most = std::max(most_used, used + bytes);
    free_blocks.release(std::max<int64_t>(0, most + most / 4 - used - bytes));
    const auto allocate = [&] {
      return Block{static_cast<std::byte*>(std::aligned_alloc(kAlignment, static_cast<size_t>(bytes))),
                   bytes};
    };
    Block block = allocate();
    if (block.data == nullptr) {  // what is cached in other sizes may be enough
      free_blocks.release(0);
      block = allocate();
    }
    return block;
  }
};

namespace {

class PooledStorage final : public Storage {
 public:
  PooledStorage(std::shared_ptr<Allocator::Pool> pool, const Block& block, int64_t size,
                MemoryCategory category)
      : Storage(block.data, size), pool_(std::move(pool)), block_(block), category_(category) {}
  ~PooledStorage() override { pool_->give_back(block_, size_, category_); }

 private:
  std::shared_ptr<Allocator::Pool> pool_;
  Block block_;
  MemoryCategory category_;
};

class AdoptedStorage final : public Storage {
 public:
  AdoptedStorage(std::shared_ptr<Allocator::Pool> pool, std::shared_ptr<void> owner, std::byte* data,
                 int64_t size, MemoryCategory category)
      : Storage(data, size), pool_(std::move(pool)), owner_(std::move(owner)), category_(category) {
    const std::lock_guard lock(pool_->mutex);
    pool_->ledger.add(category_, size_);
  }
  ~AdoptedStorage() override {
    const std::lock_guard lock(pool_->mutex);
    pool_->ledger.add(category_, -size_);
  }

 private:
  std::shared_ptr<Allocator::Pool> pool_;
  std::shared_ptr<void> owner_;
  MemoryCategory category_;
};

}  // namespace

Allocator::Allocator() : pool_(std::make_shared<Pool>()) {}
Allocator::~Allocator() = default;

std::shared_ptr<Storage> Allocator::allocate(int64_t bytes, MemoryCategory category) {
  const int64_t rounded = size_class(bytes < 1 ? 1 : bytes);
  return std::make_shared<PooledStorage>(pool_, pool_->take(rounded, category), rounded, category);
}

std::shared_ptr<Storage> Allocator::adopt(std::shared_ptr<void> owner, std::byte* data, int64_t bytes,
                                          MemoryCategory category) {
  return std::make_shared<AdoptedStorage>(pool_, std::move(owner), data, bytes, category);
}

MemoryLedger Allocator::ledger() const {
  const std::lock_guard lock(pool_->mutex);
  return pool_->ledger;
}

void Allocator::reset_peak() {
  const std::lock_guard lock(pool_->mutex);
  pool_->ledger.reset_peak();
}

void Allocator::release_cached() {
  const std::lock_guard lock(pool_->mutex);
  pool_->free_blocks.release(0);
}

}  // namespace trireme
