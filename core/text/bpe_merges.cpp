#include "core/text/bpe_merges.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "core/base/check.h"

namespace trireme {

BpeMerges::BpeMerges(const std::vector<std::pair<TokenPair, int32_t>>& merges)
    : mask_(std::bit_ceil(merges.size() * 2 + 2) - 1), keys_(mask_ + 1, kEmpty), values_(mask_ + 1) {
  int32_t rank = 0;
  for (const auto& [pair, result] : merges) {
    TRIREME_ASSERT(find(pair) == nullptr, "the same pair twice");
    size_t slot = slot_of(key_of(pair));
    while (keys_[slot] != kEmpty) slot = (slot + 1) & mask_;
    keys_[slot] = key_of(pair);
    values_[slot] = {rank++, result};
  }
}

void BpeMerges::apply(std::vector<int32_t>& ids, Scratch& scratch) const {
  // A linked list of the ids still there, and a heap of the pairs that can merge: O(n log n), so that a word
  // of a megabyte takes no longer per byte than one of ten. Pairs that changed since are skipped.
  const auto count = static_cast<int32_t>(ids.size());
  auto& [previous, next, queue] = scratch;
  previous.resize(ids.size());
  next.resize(ids.size());
  queue.clear();
  const auto lowest_first = std::greater<>();
  const auto offer = [&](int32_t position) {
    if (position < 0 || next[position] >= count) return;
    if (const Merge* merge = find({ids[position], ids[next[position]]})) {
      queue.emplace_back(merge->rank, position);
      std::push_heap(queue.begin(), queue.end(), lowest_first);
    }
  };
  for (int32_t i = 0; i < count; ++i) {
    previous[i] = i - 1;
    next[i] = i + 1;
  }
  for (int32_t i = 0; i < count; ++i) offer(i);

  constexpr int32_t kGone = -1;
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), lowest_first);
    const auto [rank, left] = queue.back();
    queue.pop_back();
    if (ids[left] == kGone || next[left] >= count) continue;
    const int32_t right = next[left];
    const Merge* merge = find({ids[left], ids[right]});
    if (merge == nullptr || merge->rank != rank) continue;
    ids[left] = merge->result;
    ids[right] = kGone;
    next[left] = next[right];
    if (next[left] < count) previous[next[left]] = left;
    offer(previous[left]);
    offer(left);
  }
  std::erase(ids, kGone);
}

}  // namespace trireme
