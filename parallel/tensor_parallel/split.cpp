#include "parallel/tensor_parallel/split.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"
#include "parallel/mesh/planted_bug.h"

namespace trireme {
namespace {

constexpr AxisId kTensorAxis = static_cast<AxisId>(Axis::kTensor);

bool heads_fit(int64_t num_heads, int64_t num_query_groups, int64_t size) {
  return num_heads % size == 0 && (num_query_groups % size == 0 || size % num_query_groups == 0);
}

void place(Parameter& parameter, Placement::Kind kind) {
  for (ParameterPiece& piece : parameter.pieces) piece.placement[kTensorAxis] = {.kind = kind};
}

}  // namespace

Part even_part(const std::string& what, int64_t total, int rank, int size) {
  if (total < size)
    throw ConfigError(fmt::format(
        "{}: {} cannot be split over {} tensor ranks; set parallel.tensor_model_parallel_size to {} or less",
        what, total, size, total));
  const int64_t begin = total * rank / size;
  return {begin, total * (rank + 1) / size - begin};
}

Part heads_part(int64_t num_heads, int rank, int size) {
  if (num_heads >= size) return even_part("heads", num_heads, rank, size);
  const int copies = size / static_cast<int>(num_heads);
  const int64_t head = planted(Bug::kWrongKeyValueCopies) ? rank % num_heads : rank / copies;
  return {head, 1, copies};
}

void check_heads(int64_t num_heads, int64_t num_query_groups, int size) {
  if (heads_fit(num_heads, num_query_groups, size)) return;
  std::vector<int64_t> sizes;
  for (int64_t candidate = 1; candidate <= num_heads; ++candidate)
    if (heads_fit(num_heads, num_query_groups, candidate)) sizes.push_back(candidate);
  const std::string reason =
      num_heads % size != 0
          ? fmt::format("model.num_attention_heads {} / {} leaves {}", num_heads, size, num_heads % size)
          : fmt::format("model.num_query_groups {}: neither {} / {} nor {} / {} is whole", num_query_groups,
                        num_query_groups, size, size, num_query_groups);
  throw ConfigError(fmt::format(
      "parallel.tensor_model_parallel_size = {}: the heads cannot be divided: {}; sizes that work "
      "for this model: {}",
      size, reason, fmt::join(sizes, ", ")));
}

Parameter split_parameter(const std::string& name, const std::vector<SplitPiece>& pieces, int dim,
                          InitRule init, bool weight_decay) {
  Parameter parameter;
  parameter.name = name;
  int64_t storage_row = 0;
  for (const SplitPiece& piece : pieces) {
    Shape offset(piece.global_shape.size(), 0), extent = piece.global_shape;
    offset[static_cast<size_t>(dim)] = piece.part.begin;
    extent[static_cast<size_t>(dim)] = piece.part.length;
    const Placement placement{Placement::Kind::kSplit, dim, piece.part.copies};
    parameter.pieces.push_back(
        {piece.name, piece.global_shape, offset, extent, storage_row, {{kTensorAxis, placement}}});
    storage_row += extent[0];
    parameter.shape = extent;
  }
  parameter.shape[0] = storage_row;
  parameter.init = init;
  parameter.weight_decay = weight_decay;
  return parameter;
}

void place_replicated(Parameter& parameter, const nn::RowShard& shard) {
  place(parameter, shard.count > 1 ? Placement::Kind::kReplicatedPartial : Placement::Kind::kReplicatedEqual);
}

void place_shared_by_heads(Parameter& parameter) {
  place(parameter, Placement::Kind::kReplicatedPartial);
}

}  // namespace trireme
