#include "parallel/data_parallel/shared_pieces.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace trireme {
namespace {

/// The ranks of `axis` that hold what this rank holds; null when it is alone.
Communicator* holders(Mesh& mesh, Axis axis, const Placement& placement) {
  if (mesh.shape().size(axis) == 1) return nullptr;
  if (placement.kind == Placement::Kind::kSplit)
    return placement.copies > 1 ? &mesh.neighbours(axis, placement.copies) : nullptr;
  return placement.holders.empty() ? &mesh.axis(axis) : &mesh.stages(placement.holders);
}

}  // namespace

std::vector<SharedPieces> find_shared_pieces(const ParameterLayout& layout, Mesh& mesh) {
  using Key = std::tuple<Axis, Placement::Kind, int, std::vector<int>>;  // copies, holders
  std::map<Key, SharedPieces> groups;
  for (size_t parameter = 0; parameter < layout.parameters().size(); ++parameter) {
    const auto& pieces = layout.parameters()[parameter]->pieces;
    for (size_t index = 0; index < pieces.size(); ++index)
      for (const auto& [id, placement] : pieces[index].placement) {
        const Axis axis = static_cast<Axis>(id);
        Communicator* ranks = holders(mesh, axis, placement);
        if (ranks == nullptr) continue;
        SharedPieces& group = groups[{axis, placement.kind, placement.copies, placement.holders}];
        group.axis = axis;
        group.ranks = ranks;
        group.placement = placement;
        group.pieces.push_back({parameter, index});
      }
  }
  const auto name_of = [&](const SharedPieces::Piece& piece) -> const std::string& {
    return layout.parameters()[piece.parameter]->pieces[piece.index].name;
  };
  std::vector<SharedPieces> result;
  for (auto& [key, group] : groups) {
    std::sort(group.pieces.begin(), group.pieces.end(),
              [&](const auto& a, const auto& b) { return name_of(a) < name_of(b); });
    result.push_back(std::move(group));
  }
  return result;
}

}  // namespace trireme
