#include "parallel/data_parallel/counted_ranges.h"

#include "parallel/data_parallel/bucket_plan.h"
#include "parallel/mesh/planted_bug.h"

namespace trireme {
namespace {

bool counted_here(const Mesh& mesh, const ParameterPiece& piece) {
  const auto on = [&](Axis axis) {
    const auto found = piece.placement.find(static_cast<AxisId>(axis));
    return found == piece.placement.end() ? nullptr : &found->second;
  };
  if (planted(Bug::kShardsMissingFromNorm) && mesh.coordinate(Axis::kTensor) > 0 && on(Axis::kTensor) &&
      on(Axis::kTensor)->kind == Placement::Kind::kSplit)
    return false;
  if (planted(Bug::kTiedCountedTwice) && on(Axis::kPipeline)) {
    ParameterPiece forgotten = piece;
    forgotten.placement.erase(static_cast<AxisId>(Axis::kPipeline));
    return mesh.counted_here(forgotten);
  }
  return mesh.counted_here(piece);
}

/// Elements of pieces that are counted here, and gaps: what lies between two counted pieces, with nothing
/// else between them, is counted along.
std::vector<FlatRange> counted_pieces(const ParameterLayout& layout, const Mesh& mesh) {
  std::vector<FlatRange> ranges;
  int64_t begin = 0;  // of the run of counted pieces
  bool counting = true;
  for (size_t i = 0; i < layout.parameters().size(); ++i) {
    const auto& pieces = layout.parameters()[i]->pieces;
    for (size_t piece = 0; piece < pieces.size(); ++piece) {
      const FlatRange range = layout.piece_range(i, piece);
      if (range.length() == 0) continue;
      const bool counted = counted_here(mesh, pieces[piece]);
      if (counting && !counted) append_range(ranges, {begin, range.begin});
      if (!counting && counted) begin = range.begin;
      counting = counted;
    }
  }
  if (counting) append_range(ranges, {begin, layout.num_elements()});
  return ranges;
}

}  // namespace

std::vector<FlatRange> counted_ranges(const ParameterLayout& layout, const Mesh& mesh,
                                      const std::vector<FlatRange>& buckets) {
  const std::vector<FlatRange> slices =
      owned_ranges(buckets, mesh.coordinate(Axis::kData), mesh.shape().size(Axis::kData), 1);
  std::vector<FlatRange> counted;
  for (const FlatRange& pieces : counted_pieces(layout, mesh))
    for (const FlatRange& slice : slices) append_range(counted, intersection(pieces, slice));
  return counted;
}

}  // namespace trireme
