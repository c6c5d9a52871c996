#pragma once

#include <vector>

#include "parallel/data_parallel/shared_pieces.h"

namespace trireme {

/// Completes partial gradients: those of which each rank of another axis than data has computed a part of the
/// sum. A group of ranks exchanges all the pieces that it shares, and nothing else, in one message. Sums in
/// rank order: afterwards all ranks of a group hold the same bits.
class PartialSums {
 public:
  /// Collective: CommError (exit 76) when the ranks of a group do not share the same pieces. Both must
  /// outlive the sums.
  PartialSums(const ParameterLayout& layout, Mesh& mesh);
  /// Replaces the pieces' gradients by their sums: over tensor ranks (or copies) first, then over stages.
  /// Collective over every group. The memory of the messages is taken at the first call and kept.
  void sum(Context& context);

 private:
  struct Group {
    SharedPieces shared;
    Tensor message;
  };
  void sum(Context& context, Group& group);

  const ParameterLayout& layout_;
  std::vector<Group> groups_;
};

}  // namespace trireme
