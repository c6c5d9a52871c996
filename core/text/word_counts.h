#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/hash.h"
#include "core/base/parallel_tasks.h"
#include "core/text/word_splitter.h"

namespace trireme {

/// How often each word occurs in texts, counted by threads. What is counted does not depend on their number.
class WordCounts {
 public:
  explicit WordCounts(int num_threads) : counts_(static_cast<size_t>(num_threads > 1 ? num_threads : 1)) {}

  int num_threads() const { return static_cast<int>(counts_.size()); }
  /// Counts the words of these texts, which need not live longer: split(stretch, thread, count) is called for
  /// stretches of them (cut_between_words) and calls count(word) for each word.
  template <class Split>
  void add(std::span<const std::string_view> texts, Split&& split);
  /// The sums over all threads, as views into this object.
  std::unordered_map<std::string_view, int64_t> totals() const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const { return xxh3_64(word); }
  };
  using Counts = std::unordered_map<std::string, int64_t, Hash, std::equal_to<>>;
  static constexpr size_t kStretch = 1 << 18;

  std::vector<Counts> counts_;  ///< one per thread
};

template <class Split>
void WordCounts::add(std::span<const std::string_view> texts, Split&& split) {
  std::vector<std::string_view> stretches;
  for (const std::string_view text : texts)
    for (const std::string_view stretch : cut_between_words(text, kStretch)) stretches.push_back(stretch);
  run_tasks(static_cast<int64_t>(stretches.size()), num_threads(), [&](int64_t task, int thread) {
    Counts& mine = counts_[static_cast<size_t>(thread)];
    split(stretches[static_cast<size_t>(task)], thread, [&](std::string_view word) {
      const auto found = mine.find(word);
      if (found != mine.end())
        ++found->second;
      else
        mine.emplace(word, 1);
    });
  });
}

inline std::unordered_map<std::string_view, int64_t> WordCounts::totals() const {
  std::unordered_map<std::string_view, int64_t> totals;
  for (const Counts& counts : counts_)
    for (const auto& [word, count] : counts) totals[word] += count;
  return totals;
}

}  // namespace trireme
