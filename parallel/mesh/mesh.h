#pragma once

#include <array>
#include <memory>
#include <string>

#include "parallel/comm/communicator.h"
#include "parallel/mesh/parallel_config.h"

namespace trireme {

/// The mesh axes, in the order in which ranks are numbered: neighbours on the first axis are neighbouring
/// ranks ("tp-cp-ep-dp-pp").
enum class Axis { kTensor, kContext, kExpert, kData, kPipeline };
inline constexpr int kNumAxes = 5;
const char* name_of(Axis axis);

/// How many ranks each axis has. The data axis gets what the others leave of the world.
struct MeshShape {
  std::array<int, kNumAxes> sizes{1, 1, 1, 1, 1};

  int size(Axis axis) const { return sizes[static_cast<size_t>(axis)]; }
  int num_ranks() const;
  /// Place of a rank on each axis: rank = c0 + s0 * (c1 + s1 * (c2 + ...)).
  std::array<int, kNumAxes> coordinates(int rank) const;

  /// Throws ConfigError with the arithmetic, and the nearest world sizes that work, when the layout does not
  /// divide.
  static MeshShape make(const ParallelConfig& config, int world_size);
};

/// Named axes over the ranks, with one Communicator each. The world must outlive it.
class Mesh {
 public:
  /// Collective over `world`. Sets the deadline of every group from the config.
  Mesh(Communicator& world, const ParallelConfig& config);

  Communicator& world() { return world_; }
  /// The ranks that differ from this one on `axis` only.
  Communicator& axis(Axis axis) { return *axes_[static_cast<size_t>(axis)]; }
  Communicator& data() { return axis(Axis::kData); }
  const MeshShape& shape() const { return shape_; }
  int coordinate(Axis axis) const { return coordinates_[static_cast<size_t>(axis)]; }

  void set_step(int64_t step);  ///< of every group, for error messages
  /// Calls and bytes by axis and operation.
  CommCounters counters() const;

 private:
  Communicator& world_;
  MeshShape shape_;
  std::array<int, kNumAxes> coordinates_{};
  std::array<std::unique_ptr<Communicator>, kNumAxes> axes_;
};

}  // namespace trireme
