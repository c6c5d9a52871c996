#include "core/data/prefetcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "core/base/error.h"
#include "core/data/batch_rows.h"

namespace trireme {
namespace {

/// Batches of one token that is the sample's number; fails at one number.
class CountingSource : public SampleSource {
 public:
  explicit CountingSource(int64_t failing = -1) : failing_(failing) {}
  int64_t num_samples() const override { return 1000; }
  Batch make_batch(Allocator& allocator, std::span<const int64_t> samples) const override {
    if (samples[0] == failing_) throw DataError("sample " + std::to_string(failing_) + " is broken");
    Batch batch = allocate_batch(allocator, samples, 1, false);
    batch.tokens.data<int32_t>()[0] = static_cast<int32_t>(samples[0]);
    ++num_made;
    return batch;
  }
  std::string fingerprint() const override { return ""; }
  mutable std::atomic<int> num_made{0};

 private:
  int64_t failing_;
};

Prefetcher::NextSamples count_to(int64_t end) {
  return [next = int64_t{0}, end]() mutable -> std::optional<std::vector<int64_t>> {
    if (next == end) return std::nullopt;
    return std::vector<int64_t>{next++};
  };
}

class PrefetcherDepth : public ::testing::TestWithParam<int> {};

TEST_P(PrefetcherDepth, GivesTheBatchesInOrderThenTheEnd) {
  const CountingSource source;
  Allocator allocator;
  Prefetcher prefetcher(source, allocator, count_to(20), GetParam());
  for (int i = 0; i < 20; ++i) {
    const auto batch = prefetcher.next();
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->tokens.data<int32_t>()[0], i);
  }
  EXPECT_FALSE(prefetcher.next());
  EXPECT_FALSE(prefetcher.next());
}

TEST_P(PrefetcherDepth, RethrowsAnErrorBehindTheBatchesBeforeIt) {
  const CountingSource source(3);
  Allocator allocator;
  Prefetcher prefetcher(source, allocator, count_to(20), GetParam());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(prefetcher.next());
  EXPECT_THROW(prefetcher.next(), DataError);
  EXPECT_FALSE(prefetcher.next());
}

INSTANTIATE_TEST_SUITE_P(All, PrefetcherDepth, ::testing::Values(0, 1, 2, 7));

TEST(Prefetcher, RunsAheadByItsDepthAndNoFurther) {
  const CountingSource source;
  Allocator allocator;
  Prefetcher prefetcher(source, allocator, count_to(1000), 3);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (source.num_made < 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(source.num_made, 3);
}

TEST(Prefetcher, EndsInTheMiddleWithoutWaiting) {
  const CountingSource source;
  Allocator allocator;
  for (int round = 0; round < 50; ++round) {
    Prefetcher prefetcher(source, allocator, count_to(1000), 1 + round % 3);
    for (int i = 0; i < round % 2; ++i) EXPECT_TRUE(prefetcher.next());
  }
}

}  // namespace
}  // namespace trireme
