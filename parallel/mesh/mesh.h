#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/autograd/parameter.h"
#include "parallel/comm/communicator.h"
#include "parallel/mesh/parallel_config.h"

namespace trireme {

/// The mesh axes. Their values are the AxisIds of placements.
enum class Axis { kTensor, kContext, kExpert, kData, kPipeline };
inline constexpr int kNumAxes = 5;
const char* name_of(Axis axis);

/// How many ranks each axis has, and how ranks are numbered. The data axis gets what the others leave of the
/// world.
struct MeshShape {
  std::array<int, kNumAxes> sizes{1, 1, 1, 1, 1};  ///< by Axis
  /// Neighbours on the first of these are neighbouring ranks.
  std::array<Axis, kNumAxes> order{Axis::kTensor, Axis::kContext, Axis::kExpert, Axis::kData,
                                   Axis::kPipeline};

  int size(Axis axis) const { return sizes[static_cast<size_t>(axis)]; }
  int num_ranks() const;
  /// Place of a rank on each axis: rank = c0 + s0 * (c1 + s1 * (c2 + ...)) along `order`.
  std::array<int, kNumAxes> coordinates(int rank) const;

  /// Throws ConfigError with the arithmetic, and the nearest world sizes that work, when the layout does not
  /// divide, and for axes that no layer uses yet.
  static MeshShape make(const ParallelConfig& config, int world_size);
};

/// Named axes over the ranks, with one Communicator each. Ranks of one host are numbered as neighbours,
/// however the launcher dealt them, so that the first axes stay inside a host where they fit. The world must
/// outlive it.
class Mesh {
 public:
  /// Collective over `world`. Sets the deadline of every group from the config.
  Mesh(Communicator& world, const ParallelConfig& config);

  Communicator& world() { return world_; }
  /// The ranks that differ from this one on `axis` only.
  Communicator& axis(Axis axis) { return *axes_[static_cast<size_t>(axis)]; }
  Communicator& data() { return axis(Axis::kData); }
  Communicator& tensor() { return axis(Axis::kTensor); }
  Communicator& pipeline() { return axis(Axis::kPipeline); }
  /// Makes the groups of stages that share parameters (a tied embedding), each a sorted list of several.
  /// Collective over the pipeline axis.
  void make_stage_groups(const std::vector<std::vector<int>>& groups);
  /// One of them, of which this rank's stage is one.
  Communicator& stages(const std::vector<int>& group) { return *stage_groups_.at(group); }
  /// `count` neighbouring ranks of the axis, of which this rank is one. Collective over the axis when first
  /// asked for.
  Communicator& neighbours(Axis axis, int count);

  const MeshShape& shape() const { return shape_; }
  int coordinate(Axis axis) const { return coordinates_[static_cast<size_t>(axis)]; }
  /// Whether this rank counts the piece: of all ranks that hold it, one of every data coordinate does.
  bool counted_here(const ParameterPiece& piece) const;

  void set_step(int64_t step);  ///< of every group, for error messages
  /// Calls and bytes by axis and operation.
  CommCounters counters() const;

 private:
  Communicator& world_;
  MeshShape shape_;
  std::array<int, kNumAxes> coordinates_{};
  std::array<std::unique_ptr<Communicator>, kNumAxes> axes_;
  std::map<std::vector<int>, std::unique_ptr<Communicator>> stage_groups_;
  std::map<std::pair<Axis, int>, std::unique_ptr<Communicator>> neighbours_;
};

}  // namespace trireme
