#include "parallel/data_parallel/partial_sums.h"

#include <fmt/format.h>

#include "core/ops/elementwise.h"
#include "parallel/data_parallel/replicas.h"
#include "parallel/mesh/planted_bug.h"

namespace trireme {

PartialSums::PartialSums(const ParameterLayout& layout, Mesh& mesh) : layout_(layout) {
  for (SharedPieces& shared : find_shared_pieces(layout, mesh)) {
    if (!shared.placement.partial_gradient()) continue;
    std::string text;
    for (const auto& [parameter, index] : shared.pieces) {
      const ParameterPiece& piece = layout.parameters()[parameter]->pieces[index];
      text += fmt::format("{} {}\n", piece.name, to_string(piece.extent));
    }
    expect_equal_on_all_ranks(*shared.ranks, text, "the parameters whose gradients are summed");
    groups_.push_back({std::move(shared), {}});
  }
}

void PartialSums::sum(Context& context) {
  for (Group& group : groups_) {
    const bool replicated = group.shared.placement.kind == Placement::Kind::kReplicatedPartial;
    if (planted(Bug::kNormGradientsNotSummed) && group.shared.axis == Axis::kTensor && replicated) continue;
    sum(context, group);
  }
}

void PartialSums::sum(Context& context, Group& group) {
  const auto gradient_of = [&](const SharedPieces::Piece& piece) {
    const Parameter& parameter = *layout_.parameters()[piece.parameter];
    return parameter.piece(parameter.gradient, piece.index);
  };
  if (!group.message.defined()) {
    int64_t count = 0;
    for (const auto& piece : group.shared.pieces) count += gradient_of(piece).num_elements();
    const int64_t bytes = count * size_of(layout_.master());
    group.message = Tensor::view_of(group.shared.ranks->allocate(context, bytes, MemoryCategory::kGradients),
                                    0, {count}, layout_.master());
  }
  // Calls copy(gradient, its place in the message).
  const auto for_each = [&](auto copy) {
    int64_t begin = 0;
    for (const auto& piece : group.shared.pieces) {
      Tensor gradient = gradient_of(piece);
      Tensor place = group.message.slice(0, begin, gradient.num_elements()).reshape(gradient.shape());
      copy(gradient, place);
      begin += gradient.num_elements();
    }
  };
  for_each([&](Tensor& gradient, Tensor& place) { ops::cast(context, gradient, place); });
  group.shared.ranks->all_reduce(group.message, ReduceOp::kSum);
  for_each([&](Tensor& gradient, Tensor& place) { ops::cast(context, place, gradient); });
}

}  // namespace trireme
