#include "parallel/mesh/mesh.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

#include "core/base/error.h"
#include "core/base/host.h"

namespace trireme {
namespace {

/// What the words of parallel.rank_order mean.
constexpr std::array<std::pair<const char*, Axis>, kNumAxes> kOrderWords = {{{"tp", Axis::kTensor},
                                                                             {"cp", Axis::kContext},
                                                                             {"ep", Axis::kExpert},
                                                                             {"dp", Axis::kData},
                                                                             {"pp", Axis::kPipeline}}};

std::array<Axis, kNumAxes> parse_order(const std::string& text) {
  std::vector<Axis> order;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find('-', begin), text.size());
    for (const auto& [word, axis] : kOrderWords)
      if (text.compare(begin, end - begin, word) == 0) order.push_back(axis);
    begin = end + 1;
  }
  std::vector<Axis> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  const bool each_once = std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end();
  if (order.size() != kNumAxes || !each_once || text.size() != 3 * kNumAxes - 1)
    throw ConfigError(fmt::format(
        "parallel.rank_order is '{}'; it must name tp, cp, ep, dp and pp once each, joined by '-'", text));
  std::array<Axis, kNumAxes> result{};
  std::copy(order.begin(), order.end(), result.begin());
  return result;
}

/// Place of this rank when the ranks of a host are neighbours; hosts and their ranks keep their order.
int place_by_host(Communicator& world) {
  const std::vector<std::string> hosts = world.gather_bytes(host_name());
  std::vector<int> order(hosts.size());
  std::iota(order.begin(), order.end(), 0);
  const auto first_rank = [&](int rank) {
    return std::find(hosts.begin(), hosts.end(), hosts[static_cast<size_t>(rank)]) - hosts.begin();
  };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return first_rank(a) < first_rank(b); });
  return static_cast<int>(std::find(order.begin(), order.end(), world.rank()) - order.begin());
}

}  // namespace

const char* name_of(Axis axis) {
  static constexpr std::array<const char*, kNumAxes> kNames = {"tensor", "context", "expert", "data",
                                                               "pipeline"};
  return kNames[static_cast<size_t>(axis)];
}

int MeshShape::num_ranks() const {
  int product = 1;
  for (const int size : sizes) product *= size;
  return product;
}

std::array<int, kNumAxes> MeshShape::coordinates(int rank) const {
  std::array<int, kNumAxes> result{};
  for (const Axis axis : order) {
    result[static_cast<size_t>(axis)] = rank % size(axis);
    rank /= size(axis);
  }
  return result;
}

MeshShape MeshShape::make(const ParallelConfig& config, int world_size) {
  struct Given {
    Axis axis;
    const char* key;
    int64_t size;
    bool available;
  };
  const std::array<Given, 4> given = {
      {{Axis::kTensor, "tensor_model_parallel_size", config.tensor_model_parallel_size, true},
       {Axis::kContext, "context_parallel_size", config.context_parallel_size, false},
       {Axis::kExpert, "expert_model_parallel_size", config.expert_model_parallel_size, false},
       {Axis::kPipeline, "pipeline_model_parallel_size", config.pipeline_model_parallel_size, true}}};
  MeshShape shape;
  shape.order = parse_order(config.rank_order);
  int64_t product = 1;
  std::string factors, unavailable;
  for (const Given& entry : given) {
    if (entry.size < 1)
      throw ConfigError(fmt::format("parallel.{} is {}; it must be at least 1", entry.key, entry.size));
    shape.sizes[static_cast<size_t>(entry.axis)] = static_cast<int>(entry.size);
    product *= entry.size;
    factors += fmt::format("{}{} ({})", factors.empty() ? "" : " x ", entry.size, name_of(entry.axis));
    if (entry.size > 1 && !entry.available)
      unavailable += fmt::format("{}parallel.{} = {} is not available in this version; set it to 1",
                                 unavailable.empty() ? "" : "\n", entry.key, entry.size);
  }
  if (!unavailable.empty()) throw ConfigError(unavailable);
  if (world_size % product != 0) {
    const int64_t below = world_size / product * product;
    throw ConfigError(fmt::format(
        "parallel: {} = {} ranks a replica, which does not divide {} ranks ({} = {} x {} + {}); start {}{} "
        "ranks, or change the sizes",
        factors, product, world_size, world_size, world_size / product, product, world_size % product,
        below > 0 ? fmt::format("{} or ", below) : "", below + product));
  }
  shape.sizes[static_cast<size_t>(Axis::kData)] = static_cast<int>(world_size / product);
  return shape;
}

Mesh::Mesh(Communicator& world, const ParallelConfig& config)
    : world_(world),
      shape_(MeshShape::make(config, world.size())),
      coordinates_(shape_.coordinates(place_by_host(world))) {
  world_.set_deadline(
      std::chrono::milliseconds(static_cast<int64_t>(config.distributed_timeout_seconds * 1000)));
  // The ranks of one group agree on every coordinate but one.
  const auto color_without = [&](Axis left_out) {
    int color = 0;
    for (size_t axis = kNumAxes; axis-- > 0;)
      color = color * shape_.sizes[axis] + (axis == static_cast<size_t>(left_out) ? 0 : coordinates_[axis]);
    return color;
  };
  for (size_t i = 0; i < kNumAxes; ++i) {
    const Axis axis = static_cast<Axis>(i);
    axes_[i] = world_.split(color_without(axis), coordinates_[i], name_of(axis));
  }
}

void Mesh::make_stage_groups(const std::vector<std::vector<int>>& groups) {
  const int stage = coordinate(Axis::kPipeline);
  for (const std::vector<int>& group : groups) {
    const bool member = std::find(group.begin(), group.end(), stage) != group.end();
    std::unique_ptr<Communicator> made = pipeline().split(member ? 0 : 1, stage, "tied");
    if (member) stage_groups_[group] = std::move(made);
  }
}

Communicator& Mesh::neighbours(Axis axis, int count) {
  std::unique_ptr<Communicator>& group = neighbours_[{axis, count}];
  if (!group)
    group = this->axis(axis).split(coordinate(axis) / count, coordinate(axis),
                                   fmt::format("{}-neighbours", name_of(axis)));
  return *group;
}

bool Mesh::counted_here(const ParameterPiece& piece) const {
  return std::all_of(piece.placement.begin(), piece.placement.end(), [&](const auto& entry) {
    const auto& [axis, placement] = entry;
    const int place = coordinate(static_cast<Axis>(axis));
    if (placement.kind == Placement::Kind::kSplit) return place % placement.copies == 0;
    return place == (placement.holders.empty() ? 0 : placement.holders.front());
  });
}

void Mesh::set_step(int64_t step) {
  world_.set_step(step);
  for (const auto& group : axes_) group->set_step(step);
  for (const auto& [stages, group] : stage_groups_) group->set_step(step);
  for (const auto& [key, group] : neighbours_) group->set_step(step);
}

CommCounters Mesh::counters() const {
  CommCounters all;
  const auto add = [&](const Communicator& group) {
    for (const auto& [operation, entry] : group.counters().entries)
      all.entries[group.name() + "/" + operation] = entry;
  };
  add(world_);
  for (const auto& group : axes_) add(*group);
  for (const auto& [stages, group] : stage_groups_) add(*group);
  for (const auto& [key, group] : neighbours_) add(*group);
  return all;
}

}  // namespace trireme
