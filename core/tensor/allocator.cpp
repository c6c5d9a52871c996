#include "core/tensor/allocator.h"

#include <fmt/format.h>

#include <cstdlib>
#include <vector>

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

struct Allocator::Pool {
  mutable std::mutex mutex;
  MemoryLedger ledger;
  std::map<int64_t, std::vector<std::byte*>> free_blocks;

  ~Pool() { release(); }

  void release() {
    for (auto& [bytes, blocks] : free_blocks)
      for (std::byte* block : blocks) std::free(block);
    free_blocks.clear();
  }

  std::byte* take(int64_t bytes, MemoryCategory category) {
    const std::lock_guard lock(mutex);
    std::byte* block = nullptr;
    if (const auto found = free_blocks.find(bytes); found != free_blocks.end() && !found->second.empty()) {
      block = found->second.back();
      found->second.pop_back();
    } else {
      block = static_cast<std::byte*>(std::aligned_alloc(kAlignment, static_cast<size_t>(bytes)));
      if (block == nullptr) {  // what is cached in other sizes may be enough
        release();
        block = static_cast<std::byte*>(std::aligned_alloc(kAlignment, static_cast<size_t>(bytes)));
      }
      if (block == nullptr)
        throw DeviceError(
            fmt::format("out of memory: {} bytes for {} asked, {} bytes in use by this rank; use a smaller "
                        "micro_batch_size or "
                        "seq_length, or recompute_granularity: full",
                        bytes, name_of(category), ledger.total));
    }
    ledger.add(category, bytes);
    return block;
  }

  void give_back(std::byte* block, int64_t bytes, MemoryCategory category) {
    const std::lock_guard lock(mutex);
    free_blocks[bytes].push_back(block);
    ledger.add(category, -bytes);
  }
};

namespace {

class PooledStorage final : public Storage {
 public:
  PooledStorage(std::shared_ptr<Allocator::Pool> pool, std::byte* data, int64_t size, MemoryCategory category)
      : Storage(data, size), pool_(std::move(pool)), category_(category) {}
  ~PooledStorage() override { pool_->give_back(data_, size_, category_); }

 private:
  std::shared_ptr<Allocator::Pool> pool_;
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
  pool_->release();
}

}  // namespace trireme
