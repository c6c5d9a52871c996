#include "parallel/checkpoint/save_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "core/base/check.h"
#include "core/io/digest.h"

namespace trireme::checkpoint {
namespace {

constexpr int64_t kSmall = 16 * 1024;

std::string key_of(const TensorBox& held) {
  return fmt::format("{}/{}/{}/{}/{}", held.role, held.name, name_of(held.dtype),
                     trireme::to_string(held.global_shape), to_string(held.box));
}

/// Replicas of a box: (rank, index in its held boxes), ascending.
using Copies = std::vector<std::pair<size_t, size_t>>;

/// Cuts the boxes that the same ranks hold into one part for each of them.
void deal(const std::vector<const Copies*>& boxes, const std::vector<std::vector<TensorBox>>& held,
          SavePlan& plan) {
  const auto box_of = [&](const Copies& copies) -> const TensorBox& {
    return held[copies[0].first][copies[0].second];
  };
  int64_t total = 0;
  for (const Copies* copies : boxes) total += box_of(*copies).num_bytes();
  const auto parts = static_cast<int64_t>(boxes.front()->size());
  const auto part_at = [&](int64_t byte) {  // 128 bits: bytes times ranks may pass 2^63
    return static_cast<int64_t>(static_cast<__int128>(byte) * parts / total);
  };
  int64_t begin = 0;
  for (const Copies* copies : boxes) {
    const TensorBox& whole = box_of(*copies);
    const int64_t rows = whole.box.extent[0], row_bytes = whole.num_bytes() / rows;
    const bool small = whole.num_bytes() < kSmall;
    for (int64_t row = 0; row < rows;) {
      const int64_t part = part_at(begin + row * row_bytes);
      int64_t end = rows;  // first row of the next part
      if (!small) {
        const auto bound =
            static_cast<int64_t>((static_cast<__int128>(part + 1) * total + parts - 1) / parts);
        end = std::clamp((bound - begin + row_bytes - 1) / row_bytes, row + 1, rows);
      }
      const auto [rank, index] = (*copies)[static_cast<size_t>(part)];
      Box box = whole.box;
      box.offset[0] += row;
      box.extent[0] = end - row;
      plan.ranks[rank].push_back({index, std::move(box)});
      row = end;
    }
    begin += whole.num_bytes();
  }
}

void prove_coverage(const std::vector<std::vector<TensorBox>>& held, const SavePlan& plan) {
  std::map<std::pair<Role, std::string>, std::pair<const TensorBox*, std::vector<Box>>> written;
  for (const auto& boxes : held)
    for (const TensorBox& box : boxes) written[{box.role, box.name}].first = &box;
  for (size_t rank = 0; rank < held.size(); ++rank)
    for (const PlannedBox& planned : plan.ranks[rank]) {
      const TensorBox& box = held[rank][planned.held];
      written[{box.role, box.name}].second.push_back(planned.box);
    }
  for (const auto& [name, tensor] : written) {
    const std::string error = coverage_error(tensor.first->global_shape, tensor.second);
    TRIREME_ASSERT(error.empty(), "checkpoint plan of " + name.first + " " + name.second + ": " + error);
  }
}

std::string hash_of(const std::vector<std::vector<TensorBox>>& held, const SavePlan& plan) {
  io::Digest digest;
  for (size_t rank = 0; rank < held.size(); ++rank) {
    for (const PlannedBox& planned : plan.ranks[rank]) {
      const std::string line =
          fmt::format("{} {} {}\n", rank, key_of(held[rank][planned.held]), to_string(planned.box));
      digest.update(std::as_bytes(std::span(line.data(), line.size())));
    }
  }
  return digest.hex();
}

}  // namespace

SavePlan plan_save(const std::vector<std::vector<TensorBox>>& held_by_rank) {
  std::map<std::string, Copies> boxes;
  for (size_t rank = 0; rank < held_by_rank.size(); ++rank)
    for (size_t index = 0; index < held_by_rank[rank].size(); ++index)
      boxes[key_of(held_by_rank[rank][index])].emplace_back(rank, index);

  std::map<std::vector<size_t>, std::vector<const Copies*>> groups;  // by the ranks that hold them
  for (const auto& [key, copies] : boxes) {
    std::vector<size_t> ranks;
    for (const auto& [rank, index] : copies) ranks.push_back(rank);
    TRIREME_ASSERT(std::adjacent_find(ranks.begin(), ranks.end()) == ranks.end(), key + " is held twice");
    groups[ranks].push_back(&copies);
  }

  SavePlan plan;
  plan.ranks.resize(held_by_rank.size());
  for (const auto& [ranks, list] : groups) deal(list, held_by_rank, plan);
  for (size_t rank = 0; rank < held_by_rank.size(); ++rank) {
    auto& planned = plan.ranks[rank];
    std::sort(planned.begin(), planned.end(), [](const PlannedBox& a, const PlannedBox& b) {
      return std::tie(a.held, a.box.offset) < std::tie(b.held, b.box.offset);
    });
    for (const PlannedBox& part : planned)
      plan.num_bytes += part.box.num_elements() * size_of(held_by_rank[rank][part.held].dtype);
  }
  prove_coverage(held_by_rank, plan);
  plan.hash = hash_of(held_by_rank, plan);
  return plan;
}

}  // namespace trireme::checkpoint
