#include "core/tensor/allocator.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <random>

#include "tests/support/values.h"

namespace trireme {
namespace {

int64_t in_use(const MemoryLedger& ledger, MemoryCategory category) {
  return ledger.current[static_cast<size_t>(category)];
}

/// All that malloc has given out.
int64_t bytes_of_the_system() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
}

TEST(Allocator, GivesAlignedBlocksAndReusesThem) {
  Allocator allocator;
  const std::byte* first = nullptr;
  {
    const auto block = allocator.allocate(1000, MemoryCategory::kWorkspace);
    first = block->data();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
    EXPECT_GE(block->size(), 1000);
  }
  EXPECT_EQ(allocator.allocate(1000, MemoryCategory::kActivations)->data(), first);
}

TEST(Allocator, WastesLittle) {
  Allocator allocator;
  for (const int64_t bytes : {1 << 10, (1 << 10) + 1, 100000, 1 << 20, (1 << 20) + 1}) {
    const auto block = allocator.allocate(bytes, MemoryCategory::kWorkspace);
    EXPECT_GE(block->size(), bytes);
    EXPECT_LE(static_cast<double>(block->size()), 1.125 * static_cast<double>(bytes) + 64);
  }
  EXPECT_GE(allocator.allocate(0, MemoryCategory::kWorkspace)->size(), 1);
}

TEST(Allocator, LedgerSplitsByCategoryAndRemembersTheSplitAtThePeak) {
  Allocator allocator;
  auto weights = allocator.allocate(4096, MemoryCategory::kWeights);
  auto activations = allocator.allocate(8192, MemoryCategory::kActivations);
  activations.reset();
  auto gradients = allocator.allocate(1024, MemoryCategory::kGradients);
  const MemoryLedger ledger = allocator.ledger();
  EXPECT_EQ(in_use(ledger, MemoryCategory::kWeights), 4096);
  EXPECT_EQ(in_use(ledger, MemoryCategory::kActivations), 0);
  EXPECT_EQ(in_use(ledger, MemoryCategory::kGradients), 1024);
  EXPECT_EQ(ledger.total, 5120);
  EXPECT_EQ(ledger.peak, 12288);
  EXPECT_EQ(ledger.at_peak[static_cast<size_t>(MemoryCategory::kActivations)], 8192);
  EXPECT_EQ(ledger.at_peak[static_cast<size_t>(MemoryCategory::kGradients)], 0);
  allocator.reset_peak();
  EXPECT_EQ(allocator.ledger().peak, 5120);
}

TEST(Allocator, CountsAdoptedMemoryAndLetsItsOwnerGo) {
  Allocator allocator;
  auto owner = std::make_shared<int>(0);
  std::byte memory[64];
  auto storage = allocator.adopt(owner, memory, 64, MemoryCategory::kGradients);
  EXPECT_EQ(in_use(allocator.ledger(), MemoryCategory::kGradients), 64);
  EXPECT_EQ(owner.use_count(), 2);
  storage.reset();
  EXPECT_EQ(owner.use_count(), 1);
  EXPECT_EQ(allocator.ledger().total, 0);
}

TEST(Allocator, StorageOutlivesItsAllocator) {
  std::shared_ptr<Storage> storage;
  {
    Allocator allocator;
    storage = allocator.allocate(128, MemoryCategory::kWorkspace);
  }
  storage->data()[127] = std::byte{1};
  storage.reset();
}

TEST(Allocator, ReleasesWhatItKept) {
  Allocator allocator;
  allocator.allocate(1 << 20, MemoryCategory::kWorkspace).reset();
  allocator.release_cached();
  EXPECT_EQ(allocator.ledger().total, 0);
  EXPECT_NE(allocator.allocate(1 << 20, MemoryCategory::kWorkspace)->data(), nullptr);
}

TEST(Allocator, HoldsLittleMoreThanTheMostInUseWhateverTheSizes) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const int64_t before = bytes_of_the_system();
  Allocator allocator;
  for (int step = 0; step < 200; ++step) {
    const auto length = static_cast<int64_t>(random() % 100 + 1);
    std::vector<std::shared_ptr<Storage>> blocks;
    for (int64_t i = 0; i < 20; ++i)
      blocks.push_back(allocator.allocate(length * (i % 5 + 1) * 1000, MemoryCategory::kActivations));
    ASSERT_LE(bytes_of_the_system() - before, 2 * allocator.ledger().peak);
  }
}

TEST(Allocator, AsksTheSystemForNothingWhereStepsAreAlike) {
  Allocator allocator;
  std::vector<std::vector<const std::byte*>> steps;
  for (int step = 0; step < 3; ++step) {
    std::vector<std::shared_ptr<Storage>> blocks;
    std::vector<const std::byte*> addresses;
    for (const int64_t bytes : {5000, 3000, 9000, 70000, 5000, 100, 40000}) {
      blocks.push_back(allocator.allocate(bytes, MemoryCategory::kActivations));
      addresses.push_back(blocks.back()->data());
    }
    std::sort(addresses.begin(), addresses.end());
    steps.push_back(addresses);
  }
  EXPECT_EQ(steps[1], steps[2]);
}

TEST(Allocator, SaysWhatItWasAskedForWhenMemoryIsOut) {
  Allocator allocator;
  const std::string message = testing::message_of<DeviceError>(
      [&] { allocator.allocate(int64_t{1} << 60, MemoryCategory::kActivations); });
  EXPECT_NE(message.find("out of memory: 1152921504606846976 bytes for activations"), std::string::npos)
      << message;
  EXPECT_NE(message.find("micro_batch_size"), std::string::npos);
  EXPECT_EQ(allocator.ledger().total, 0);
}

}  // namespace
}  // namespace trireme
