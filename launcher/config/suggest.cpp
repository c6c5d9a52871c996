#include "launcher/config/suggest.h"

#include <algorithm>

namespace trireme {
namespace {

std::string leaf_of(const std::string& key) {
  return key.substr(key.rfind('.') + 1);
}
std::string section_of(const std::string& key) {
  const size_t dot = key.find('.');
  return dot == std::string::npos ? "" : key.substr(0, dot);
}

}  // namespace

int edit_distance(const std::string& a, const std::string& b) {
  const size_t rows = a.size() + 1, cols = b.size() + 1;
  std::vector<std::vector<int>> distance(rows, std::vector<int>(cols));
  for (size_t i = 0; i < rows; ++i) distance[i][0] = static_cast<int>(i);
  for (size_t j = 0; j < cols; ++j) distance[0][j] = static_cast<int>(j);
  for (size_t i = 1; i < rows; ++i) {
    for (size_t j = 1; j < cols; ++j) {
      const int replace = distance[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      distance[i][j] = std::min({distance[i - 1][j] + 1, distance[i][j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        distance[i][j] = std::min(distance[i][j], distance[i - 2][j - 2] + 1);
    }
  }
  return distance[rows - 1][cols - 1];
}

std::string nearest_key(const std::string& key, const std::vector<std::string>& known) {
  const std::string leaf = leaf_of(key), section = section_of(key);
  std::string best;
  // Twice the distance of the leaf, plus one for another section: an equal leaf elsewhere costs 1.
  int best_cost = 2 * std::max<int>(1, static_cast<int>(leaf.size()) / 3) + 2;
  for (const std::string& candidate : known) {
    const int cost = 2 * edit_distance(leaf, leaf_of(candidate)) + (section_of(candidate) != section);
    if (cost < best_cost) {
      best = candidate;
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace trireme
