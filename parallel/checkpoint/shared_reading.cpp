#include "parallel/checkpoint/shared_reading.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>

namespace trireme::checkpoint {
namespace {

/// What one rank of a group reads of one of the group's boxes.
struct Part {
  size_t reader = 0;  ///< index in Replicas::ranks
  size_t box = 0;     ///< index in Replicas::held
  Box extent;         ///< in the tensor's coordinates
};

/// The parts of all boxes that the group's ranks write whole; others are left out.
std::vector<Part> parts_of(const SavePlan& plan, const Replicas& group) {
  const size_t num_boxes = group.held[0].size();
  std::vector<std::vector<Part>> by_box(num_boxes);
  for (size_t reader = 0; reader < group.ranks.size(); ++reader) {
    std::map<size_t, size_t> box_of;  // by index in the rank's held boxes
    for (size_t box = 0; box < num_boxes; ++box) box_of[group.held[reader][box]] = box;
    for (const PlannedBox& planned : plan.ranks[group.ranks[reader]])
      if (const auto found = box_of.find(planned.held); found != box_of.end())
        by_box[found->second].push_back({reader, found->second, planned.box});
  }
  std::vector<Part> parts;
  for (size_t box = 0; box < num_boxes; ++box) {
    int64_t covered = 0;
    for (const Part& part : by_box[box]) covered += part.extent.num_elements();
    if (covered == plan.held[group.ranks[0]][group.held[0][box]].box.num_elements())
      parts.insert(parts.end(), by_box[box].begin(), by_box[box].end());
  }
  return parts;
}

/// Groups whose ranks are apart, together: one split of the world serves them all.
std::vector<std::vector<size_t>> rounds_of(const SavePlan& plan) {
  std::vector<std::vector<size_t>> rounds;
  std::vector<std::set<size_t>> taken;
  for (size_t group = 0; group < plan.replicas.size(); ++group) {
    const std::vector<size_t>& ranks = plan.replicas[group].ranks;
    size_t round = 0;
    const auto is_taken = [&](size_t rank) { return taken[round].contains(rank); };
    while (round < rounds.size() && std::any_of(ranks.begin(), ranks.end(), is_taken)) ++round;
    if (round == rounds.size()) {
      rounds.emplace_back();
      taken.emplace_back();
    }
    rounds[round].push_back(group);
    taken[round].insert(ranks.begin(), ranks.end());
  }
  return rounds;
}

Tensor as_bytes(const Tensor& contiguous) {
  return Tensor::view_of(contiguous.storage(), contiguous.byte_offset(), {contiguous.num_bytes()},
                         DType::kUInt8);
}

void copy_rows(const Tensor& from, const Tensor& to) {
  const auto row_bytes = static_cast<size_t>(from.cols() * size_of(from.dtype()));
  const auto row = [](const Tensor& tensor, int64_t index) {
    return tensor.raw() + index * tensor.row_stride() * size_of(tensor.dtype());
  };
  for (int64_t i = 0; i < from.rows(); ++i) std::memcpy(row(to, i), row(from, i), row_bytes);
}

void broadcast(Communicator& group, int root, const Tensor& part, Allocator& allocator) {
  if (part.is_contiguous()) {
    group.broadcast(as_bytes(part), root);
    return;
  }
  const Tensor packed = Tensor::allocate(allocator, part.shape(), part.dtype(), MemoryCategory::kWorkspace);
  if (group.rank() == root) copy_rows(part, packed);
  group.broadcast(as_bytes(packed), root);
  if (group.rank() != root) copy_rows(packed, part);
}

}  // namespace

std::vector<HeldTensor> parts_to_read(const SavePlan& plan, int rank,
                                      const std::vector<HeldTensor>& targets) {
  std::vector<HeldTensor> reads;
  std::vector<bool> shared(targets.size());
  for (const Replicas& group : plan.replicas) {
    const auto me = std::find(group.ranks.begin(), group.ranks.end(), static_cast<size_t>(rank));
    if (me == group.ranks.end()) continue;
    const auto reader = static_cast<size_t>(me - group.ranks.begin());
    for (const Part& part : parts_of(plan, group)) {
      const size_t held = group.held[reader][part.box];
      shared[held] = true;
      if (part.reader != reader) continue;
      TensorBox box = targets[held].box;
      box.box = part.extent;
      reads.push_back({box, part_of(targets[held], part.extent)});
    }
  }
  for (size_t held = 0; held < targets.size(); ++held)
    if (!shared[held]) reads.push_back(targets[held]);
  return reads;
}

void share_parts(Communicator& world, const SavePlan& plan, const std::vector<HeldTensor>& targets,
                 int64_t buffer_bytes) {
  const auto rank = static_cast<size_t>(world.rank());
  Allocator allocator;
  for (const std::vector<size_t>& round : rounds_of(plan)) {
    const Replicas* mine = nullptr;
    int color = Communicator::kNoColor;
    for (const size_t group : round) {
      const std::vector<size_t>& ranks = plan.replicas[group].ranks;
      if (std::find(ranks.begin(), ranks.end(), rank) == ranks.end()) continue;
      mine = &plan.replicas[group];
      color = static_cast<int>(group);
    }
    const std::unique_ptr<Communicator> group = world.split(color, world.rank(), "checkpoint-replicas");
    if (!group) continue;
    const std::vector<size_t>& held = mine->held[static_cast<size_t>(group->rank())];
    for (const Part& part : parts_of(plan, *mine)) {
      const HeldTensor& target = targets[held[part.box]];
      for (const Box& piece : cut(part.extent, buffer_bytes / size_of(target.box.dtype)))
        broadcast(*group, static_cast<int>(part.reader), part_of(target, piece), allocator);
    }
  }
}

}  // namespace trireme::checkpoint
