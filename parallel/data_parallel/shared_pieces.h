#pragma once

#include <vector>

#include "core/optim/parameter_layout.h"
#include "parallel/mesh/mesh.h"

namespace trireme {

/// Logical tensors that several ranks of one axis hold: all ranks of it, neighbours that hold copies of key
/// and value heads, or stages that share a tied embedding.
struct SharedPieces {
  struct Piece {
    size_t parameter;  ///< index in the layout
    size_t index;      ///< of the piece in it
  };
  Axis axis;
  Placement placement;        ///< on the axis, the same for all
  Communicator* ranks;        ///< that hold them; more than one
  std::vector<Piece> pieces;  ///< by name: stages may lay them out in different orders
};

/// By axis, in an order that all ranks share. Collective over every axis: makes the mesh's groups of
/// neighbours.
std::vector<SharedPieces> find_shared_pieces(const ParameterLayout& layout, Mesh& mesh);

}  // namespace trireme
