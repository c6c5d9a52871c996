#pragma once

#include <array>
#include <memory>

#include "core/nn/forward_pass.h"
#include "parallel/comm/communicator.h"

namespace trireme {

/// A sum under way; give it to RowExchange::finish_sum.
struct RowSum {
  std::unique_ptr<Work> work;
  Tensor result;  ///< staged
};

/// Moves matrices [rows, cols] between the ranks of a group: terms of a sum to their sum, row shards to the
/// whole. With `sharded`, matrices of the residual stream are divided by rows (rank r of n holds rows
/// [r * R / n, (r + 1) * R / n)): sums end in a shard (reduce-scatter) and shards are gathered (all-gather).
/// Without, every rank has all rows: sums are all-reduces, and there is nothing to gather.
///
/// Products write their terms straight into staging memory from the communicator, which this object owns and
/// grows. Its rows are padded as those of activations are; collectives carry the padding along. Staged
/// tensors are valid until the same kind is asked for again. Every rank of the group makes the same calls in
/// the same order.
class RowExchange {
 public:
  /// `group` must outlive it.
  RowExchange(Communicator& group, bool sharded) : group_(group), sharded_(sharded && group.size() > 1) {}

  Communicator& group() { return group_; }
  int rank() const { return group_.rank(); }
  int size() const { return group_.size(); }
  /// The rows of the residual stream on this rank.
  nn::RowShard shard() const;

  /// Where this rank writes its term of a sum: [rows, cols], staged.
  Tensor term(Context& context, int64_t rows, int64_t cols, DType dtype);
  /// Starts to add up the ranks' terms. Throws ShapeError when the rows do not divide into shards.
  RowSum start_sum(const Tensor& term);
  /// Waits; gives all rows, or this rank's shard, as an activation of `dtype` (rounded once).
  Tensor finish_sum(Context& context, RowSum& sum, DType dtype);
  Tensor sum(Context& context, const Tensor& term, DType dtype);

  /// All rows of a matrix of the residual stream: `mine` itself, or staged.
  Tensor all_rows(Context& context, const Tensor& mine);

  /// In place, for a few numbers a row: [count], staged.
  Tensor statistics(Context& context, int64_t count, DType dtype);
  void all_reduce(const Tensor& staged, ReduceOp op) { group_.all_reduce(staged, op); }

 private:
  enum Slot { kTerm, kRows, kStatistics, kNumSlots };
  Tensor staged(Context& context, Slot slot, const Shape& shape, DType dtype);

  Communicator& group_;
  bool sharded_;
  std::array<std::shared_ptr<Storage>, kNumSlots> memory_;
};

}  // namespace trireme
