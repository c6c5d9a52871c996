#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace trireme {

/// Where the time goes: seconds and calls by name, nested names counted separately. One per rank, not
/// thread-safe. Two levels are used: phases ("phase/forward_backward") and operations ("op/gemm").
class Trace {
 public:
  struct Entry {
    double seconds = 0;
    int64_t calls = 0;
  };
  void add(std::string_view name, double seconds) {
    auto found = entries_.find(name);
    if (found == entries_.end()) found = entries_.emplace(std::string(name), Entry{}).first;
    found->second.seconds += seconds;
    found->second.calls += 1;
  }
  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }
  double seconds(std::string_view name) const {
    const auto found = entries_.find(name);
    return found == entries_.end() ? 0.0 : found->second.seconds;
  }
  void clear() { entries_.clear(); }
  bool enabled = true;

 private:
  std::map<std::string, Entry, std::less<>> entries_;
};

/// Adds the time of its scope to a Trace.
class TraceSpan {
 public:
  TraceSpan(Trace& trace, std::string_view name) : trace_(trace), name_(name) {
    if (trace_.enabled) start_ = std::chrono::steady_clock::now();
  }
  ~TraceSpan() {
    if (trace_.enabled)
      trace_.add(name_, std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count());
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  Trace& trace_;
  std::string_view name_;
  std::chrono::steady_clock::time_point start_{};
};

}  // namespace trireme
