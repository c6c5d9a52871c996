#include "parallel/mesh/mesh.h"

#include <fmt/format.h>

#include <chrono>

#include "core/base/error.h"

namespace trireme {

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
  for (size_t i = 0; i < kNumAxes; ++i) {
    result[i] = rank % sizes[i];
    rank /= sizes[i];
  }
  return result;
}

MeshShape MeshShape::make(const ParallelConfig& config, int world_size) {
  struct Given {
    Axis axis;
    const char* key;
    int64_t size;
  };
  const std::array<Given, 4> given = {
      {{Axis::kTensor, "tensor_model_parallel_size", config.tensor_model_parallel_size},
       {Axis::kContext, "context_parallel_size", config.context_parallel_size},
       {Axis::kExpert, "expert_model_parallel_size", config.expert_model_parallel_size},
       {Axis::kPipeline, "pipeline_model_parallel_size", config.pipeline_model_parallel_size}}};
  MeshShape shape;
  int64_t product = 1;
  std::string factors, unavailable;
  for (const Given& entry : given) {
    if (entry.size < 1)
      throw ConfigError(fmt::format("parallel.{} is {}; it must be at least 1", entry.key, entry.size));
    shape.sizes[static_cast<size_t>(entry.axis)] = static_cast<int>(entry.size);
    product *= entry.size;
    factors += fmt::format("{}{} ({})", factors.empty() ? "" : " x ", entry.size, name_of(entry.axis));
    if (entry.size > 1)
      unavailable += fmt::format("{}parallel.{} = {} is not available in this version; set it to 1",
                                 unavailable.empty() ? "" : "\n", entry.key, entry.size);
  }
  if (world_size % product != 0) {
    const int64_t below = world_size / product * product;
    throw ConfigError(fmt::format(
        "parallel: {} = {} ranks a replica, which does not divide {} ranks ({} = {} x {} + {}); start {}{} "
        "ranks, or change the sizes",
        factors, product, world_size, world_size, world_size / product, product, world_size % product,
        below > 0 ? fmt::format("{} or ", below) : "", below + product));
  }
  if (!unavailable.empty()) throw ConfigError(unavailable);
  shape.sizes[static_cast<size_t>(Axis::kData)] = static_cast<int>(world_size / product);
  return shape;
}

Mesh::Mesh(Communicator& world, const ParallelConfig& config)
    : world_(world),
      shape_(MeshShape::make(config, world.size())),
      coordinates_(shape_.coordinates(world.rank())) {
  world_.set_deadline(
      std::chrono::milliseconds(static_cast<int64_t>(config.distributed_timeout_seconds * 1000)));
  for (size_t i = 0; i < kNumAxes; ++i) {
    // The ranks of one group agree on every coordinate but this one.
    int color = 0;
    for (size_t other = kNumAxes; other-- > 0;)
      color = color * shape_.sizes[other] + (other == i ? 0 : coordinates_[other]);
    axes_[i] = world_.split(color, coordinates_[i], name_of(static_cast<Axis>(i)));
  }
}

void Mesh::set_step(int64_t step) {
  world_.set_step(step);
  for (const auto& group : axes_) group->set_step(step);
}

CommCounters Mesh::counters() const {
  CommCounters all;
  const auto add = [&](const Communicator& group) {
    for (const auto& [operation, entry] : group.counters().entries)
      all.entries[group.name() + "/" + operation] = entry;
  };
  add(world_);
  for (const auto& group : axes_) add(*group);
  return all;
}

}  // namespace trireme
