#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trireme {

/// A special token and its text.
using SpecialText = std::pair<std::string_view, int32_t>;

/// Cuts text at special tokens: the leftmost first, the longest where several begin at one place. Calls
/// on_text(std::string_view) for what lies between and on_special(id), in order.
template <class OnText, class OnSpecial>
void split_at_specials(std::string_view text, const std::vector<SpecialText>& specials, OnText&& on_text,
                       OnSpecial&& on_special) {
  std::vector<size_t> next(specials.size(), 0);  // where each is found next, from `position` on
  for (size_t i = 0; i < specials.size(); ++i) next[i] = text.find(specials[i].first);
  size_t position = 0;
  while (true) {
    size_t best = specials.size();
    for (size_t i = 0; i < specials.size(); ++i) {
      if (next[i] != std::string_view::npos && next[i] < position)
        next[i] = text.find(specials[i].first, position);
      if (next[i] == std::string_view::npos) continue;
      if (best == specials.size() || next[i] < next[best] ||
          (next[i] == next[best] && specials[i].first.size() > specials[best].first.size()))
        best = i;
    }
    const size_t end = best == specials.size() ? text.size() : next[best];
    if (end > position) on_text(text.substr(position, end - position));
    if (best == specials.size()) return;
    on_special(specials[best].second);
    position = end + specials[best].first.size();
  }
}

}  // namespace trireme
