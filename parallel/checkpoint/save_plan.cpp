#include "parallel/checkpoint/save_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "core/base/check.h"
#include "core/io/digest.h"
#include "parallel/checkpoint/logical_tensors.h"

namespace trireme::checkpoint {
namespace {

constexpr int64_t kSmall = 16 * 1024;

/// The ranks that hold a box, ascending, and its index in the held boxes of each.
struct Copies {
  std::vector<size_t> ranks;
  std::vector<size_t> held;
};

/// The distinct boxes of one tensor, by offset and extent.
using CopiesByBox = std::map<std::pair<Shape, Shape>, Copies>;

/// What the holders of a box write of it.
struct Part {
  const Copies* copies = nullptr;
  size_t tensor = 0;
  Box box;
  int64_t num_bytes = 0;
};

/// By tensor, in the order of `tensors`.
std::vector<CopiesByBox> find_copies(const std::vector<std::vector<TensorBox>>& held_by_rank,
                                     const std::vector<LogicalTensor>& tensors) {
  std::map<std::pair<Role, std::string>, size_t> index_of;
  for (size_t i = 0; i < tensors.size(); ++i) index_of[{tensors[i].role, tensors[i].name}] = i;
  std::vector<CopiesByBox> copies(tensors.size());
  for (size_t rank = 0; rank < held_by_rank.size(); ++rank)
    for (size_t index = 0; index < held_by_rank[rank].size(); ++index) {
      const TensorBox& held = held_by_rank[rank][index];
      Copies& of_box = copies[index_of.at({held.role, held.name})][{held.box.offset, held.box.extent}];
      TRIREME_ASSERT(
          of_box.ranks.empty() || of_box.ranks.back() != rank,
          fmt::format("rank {} holds {} {} {} twice", rank, held.role, held.name, to_string(held.box)));
      of_box.ranks.push_back(rank);
      of_box.held.push_back(index);
    }
  return copies;
}

std::vector<Replicas> find_replicas(const std::vector<CopiesByBox>& tensors) {
  std::map<std::vector<size_t>, Replicas> by_ranks;
  for (const CopiesByBox& boxes : tensors)
    for (const auto& [box, copies] : boxes) {
      if (copies.ranks.size() == 1) continue;
      Replicas& replicas = by_ranks[copies.ranks];
      replicas.ranks = copies.ranks;
      replicas.held.resize(copies.ranks.size());
      for (size_t i = 0; i < copies.held.size(); ++i) replicas.held[i].push_back(copies.held[i]);
    }
  std::vector<Replicas> all;
  for (auto& [ranks, replicas] : by_ranks) all.push_back(std::move(replicas));
  return all;
}

/// The boxes of a tensor without what an earlier one has of them.
std::vector<Part> disjoint_parts(const CopiesByBox& boxes, size_t tensor, int64_t element_bytes) {
  std::vector<Part> parts;
  std::vector<Box> open;  // earlier boxes that reach into the rows to come
  for (const auto& [key, copies] : boxes) {
    const Box whole{key.first, key.second};
    std::erase_if(open, [&](const Box& box) { return box.offset[0] + box.extent[0] <= whole.offset[0]; });
    std::vector<Box> left{whole};
    for (const Box& taken : open) {
      std::vector<Box> rest;
      for (const Box& box : left)
        for (Box& piece : difference(box, taken)) rest.push_back(std::move(piece));
      left = std::move(rest);
    }
    open.push_back(whole);
    for (Box& box : left) {
      const int64_t num_bytes = box.num_elements() * element_bytes;
      parts.push_back({&copies, tensor, std::move(box), num_bytes});
    }
  }
  return parts;
}

/// Cuts the parts that the same ranks hold into one share for each of them.
void deal(const std::vector<Part>& parts, SavePlan& plan) {
  int64_t total = 0;
  for (const Part& part : parts) total += part.num_bytes;
  const auto num_shares = static_cast<int64_t>(parts.front().copies->ranks.size());
  const auto share_at = [&](int64_t byte) {  // 128 bits: bytes times ranks may pass 2^63
    return static_cast<int64_t>(static_cast<__int128>(byte) * num_shares / total);
  };
  int64_t begin = 0;
  for (const Part& part : parts) {
    const int64_t rows = part.box.extent[0], row_bytes = part.num_bytes / rows;
    const bool small = part.num_bytes < kSmall;
    for (int64_t row = 0; row < rows;) {
      const int64_t share = share_at(begin + row * row_bytes);
      int64_t end = rows;  // first row of the next share
      if (!small) {
        const auto bound =
            static_cast<int64_t>((static_cast<__int128>(share + 1) * total + num_shares - 1) / num_shares);
        end = std::clamp((bound - begin + row_bytes - 1) / row_bytes, row + 1, rows);
      }
      const auto replica = static_cast<size_t>(share);
      Box box = part.box;
      box.offset[0] += row;
      box.extent[0] = end - row;
      plan.ranks[part.copies->ranks[replica]].push_back(
          {part.copies->held[replica], part.tensor, std::move(box)});
      row = end;
    }
    begin += part.num_bytes;
  }
}

void deal_all(const std::vector<CopiesByBox>& copies, SavePlan& plan) {
  std::map<std::vector<size_t>, std::vector<Part>> groups;  // by the ranks that hold them
  for (size_t tensor = 0; tensor < copies.size(); ++tensor)
    for (Part& part : disjoint_parts(copies[tensor], tensor, size_of(plan.tensors[tensor].dtype)))
      groups[part.copies->ranks].push_back(std::move(part));
  for (const auto& [ranks, parts] : groups) deal(parts, plan);
  for (auto& planned : plan.ranks)
    std::sort(planned.begin(), planned.end(), [](const PlannedBox& a, const PlannedBox& b) {
      return std::tie(a.held, a.box.offset) < std::tie(b.held, b.box.offset);
    });
}

void prove_coverage(const SavePlan& plan) {
  std::vector<std::vector<Box>> written(plan.tensors.size());
  for (const auto& planned : plan.ranks)
    for (const PlannedBox& part : planned) written[part.tensor].push_back(part.box);
  for (size_t i = 0; i < written.size(); ++i) {
    const LogicalTensor& tensor = plan.tensors[i];
    const std::string error = coverage_error(tensor.global_shape, std::move(written[i]));
    TRIREME_ASSERT(error.empty(), "checkpoint plan of " + tensor.role + " " + tensor.name + ": " + error);
  }
}

std::string hash_of(const SavePlan& plan) {
  io::Digest digest;
  for (size_t rank = 0; rank < plan.ranks.size(); ++rank)
    for (const PlannedBox& planned : plan.ranks[rank]) {
      const LogicalTensor& tensor = plan.tensors[planned.tensor];
      const std::string line = fmt::format("{} {} {} {} {} {} {} {}\n", rank, planned.held, planned.tensor,
                                           tensor.role, tensor.name, name_of(tensor.dtype),
                                           trireme::to_string(tensor.global_shape), to_string(planned.box));
      digest.update(std::as_bytes(std::span(line.data(), line.size())));
    }
  return digest.hex();
}

}  // namespace

SavePlan plan_save(std::vector<std::vector<TensorBox>> held_by_rank, const std::vector<std::string>& names) {
  SavePlan plan;
  plan.held = std::move(held_by_rank);
  plan.tensors = logical_tensors(plan.held, names);
  plan.ranks.resize(plan.held.size());
  const std::vector<CopiesByBox> copies = find_copies(plan.held, plan.tensors);
  plan.replicas = find_replicas(copies);
  deal_all(copies, plan);
  for (const LogicalTensor& tensor : plan.tensors)
    plan.num_bytes += num_elements(tensor.global_shape) * size_of(tensor.dtype);
  prove_coverage(plan);
  plan.hash = hash_of(plan);
  return plan;
}

}  // namespace trireme::checkpoint
