#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/data/sample_source.h"

namespace trireme {

/// Prepares batches ahead of their use, in one thread of its own. `source` and `allocator` must outlive it.
class Prefetcher {
 public:
  /// Gives the sample numbers of the next batch, or nothing at the end. Called by one thread at a time.
  using NextSamples = std::function<std::optional<std::vector<int64_t>>()>;

  /// `depth` batches wait at most; 0 makes each batch inside next(), without a thread.
  Prefetcher(const SampleSource& source, Allocator& allocator, NextSamples next_samples, int64_t depth);
  /// Stops the thread, dropping what it prepared.
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// The next batch in order, or nothing at the end. Rethrows what failed while that batch was made, after
  /// the batches before it; the end follows.
  std::optional<Batch> next();

 private:
  std::optional<Batch> make_one();
  void run();

  const SampleSource& source_;
  Allocator& allocator_;
  NextSamples next_samples_;
  size_t depth_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;
  std::exception_ptr error_;
  bool finished_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace trireme
