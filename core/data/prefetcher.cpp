#include "core/data/prefetcher.h"

#include <utility>

namespace trireme {

Prefetcher::Prefetcher(const SampleSource& source, Allocator& allocator, NextSamples next_samples,
                       int64_t depth)
    : source_(source),
      allocator_(allocator),
      next_samples_(std::move(next_samples)),
      depth_(depth < 0 ? 0 : static_cast<size_t>(depth)) {
  if (depth_ > 0) thread_ = std::thread([this] { run(); });
}

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::optional<Batch> Prefetcher::make_one() {
  const auto samples = next_samples_();
  if (!samples) return std::nullopt;
  return source_.make_batch(allocator_, *samples);
}

void Prefetcher::run() {
  while (true) {
    std::optional<Batch> batch;
    std::exception_ptr error;
    try {
      batch = make_one();
    } catch (...) {
      error = std::current_exception();
    }
    std::unique_lock lock(mutex_);
    if (!batch) {
      error_ = error;
      finished_ = true;
      changed_.notify_all();
      return;
    }
    ready_.push_back(std::move(*batch));
    changed_.notify_all();
    changed_.wait(lock, [this] { return stopping_ || ready_.size() < depth_; });
    if (stopping_) return;
  }
}

std::optional<Batch> Prefetcher::next() {
  if (depth_ == 0) {
    if (finished_) return std::nullopt;
    finished_ = true;  // stays so when make_one throws
    auto batch = make_one();
    finished_ = !batch.has_value();
    return batch;
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return finished_ || !ready_.empty(); });
  if (!ready_.empty()) {
    Batch batch = std::move(ready_.front());
    ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return batch;
  }
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  return std::nullopt;
}

}  // namespace trireme
