#pragma once

#include "core/nn/layer_builder.h"
#include "parallel/mesh/mesh.h"

namespace trireme {

/// The part of a dimension that one tensor rank holds.
struct Part {
  int64_t begin = 0;
  int64_t length = 0;
  int copies = 1;  ///< neighbouring ranks that hold the same part
};

/// Features or vocabulary entries that are each by themselves: [total * r / n, total * (r + 1) / n). Throws
/// ConfigError naming `what` when there are fewer than ranks.
Part even_part(const std::string& what, int64_t total, int rank, int size);
/// Heads: num_heads / n each; where n is a multiple of num_heads, n / num_heads neighbouring ranks hold the
/// same one.
Part heads_part(int64_t num_heads, int rank, int size);

/// Throws ConfigError with the arithmetic, and the numbers of tensor ranks that work, when the query heads do
/// not divide over the ranks, or the key and value heads neither divide nor can be repeated evenly.
void check_heads(int64_t num_heads, int64_t num_query_groups, int size);

/// One piece of a parameter, split along `dim`.
struct SplitPiece {
  std::string name;
  Shape global_shape;
  Part part;
};
/// Pieces one after another along dimension 0, with their placement on the tensor axis.
Parameter split_parameter(const std::string& name, const std::vector<SplitPiece>& pieces, int dim,
                          InitRule init, bool weight_decay);

/// A parameter that every tensor rank holds whole; with row shards each computes a part of its gradient.
void place_replicated(Parameter& parameter, const nn::RowShard& shard);
/// One that every tensor rank holds whole and reads with its own heads: each computes a part of its gradient.
void place_shared_by_heads(Parameter& parameter);

}  // namespace trireme
