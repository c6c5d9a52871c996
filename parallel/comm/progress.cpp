#include "parallel/comm/progress.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/base/error.h"

namespace trireme::comm {

Progress::~Progress() {
  if (!operations_.empty()) waiter_->keep(std::move(operations_));
}

void Progress::start(std::shared_ptr<Operation> operation) {
  operations_.push_back(std::move(operation));
  advance();
}

void Progress::advance() {
  waiter_->check();
  for (size_t i = 0; i < operations_.size();) {
    if (operations_[i]->advance()) {
      operations_.erase(operations_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

bool Progress::done(const Operation& operation) const {
  return std::none_of(operations_.begin(), operations_.end(),
                      [&](const auto& candidate) { return candidate.get() == &operation; });
}

void Progress::wait(const Operation& operation, std::chrono::milliseconds deadline) {
  if (done(operation)) return;
  const Clock::time_point start = Clock::now();
  while (true) {
    const uint64_t mark = waiter_->mark();
    advance();
    if (done(operation)) return;
    if (!waiter_->pause(mark, start + deadline)) break;
  }
  const std::vector<int> missing = operation.missing();
  const std::string ranks =
      missing.empty() ? "every rank has arrived but not all have finished"
                      : fmt::format("rank{} {} of the group {} not arrived", missing.size() == 1 ? "" : "s",
                                    fmt::join(missing, ", "), missing.size() == 1 ? "has" : "have");
  throw CommError(
      fmt::format("{}: gave up after {:.1f} s: {}. It died, hangs or is much slower: look at its "
                  "log; a slow but healthy run needs a larger "
                  "parallel.distributed_timeout_seconds",
                  operation.describe(), std::chrono::duration<double>(Clock::now() - start).count(), ranks),
      ExitCode::kWatchdog);
}

}  // namespace trireme::comm
