#include "core/nn/forward_pass.h"

#include <algorithm>

#include "core/autograd/parameter.h"

namespace trireme {

LossSum& LossSum::operator+=(const LossSum& other) {
  sum += other.sum;
  count += other.count;
  right += other.right;
  return *this;
}

namespace nn {
namespace {

Tensor make_window_positions(Context& context, int64_t num_samples, int64_t length) {
  Tensor positions = context.workspace({num_samples, length}, DType::kInt32);
  for (int64_t i = 0; i < positions.num_elements(); ++i)
    positions.data<int32_t>()[i] = static_cast<int32_t>(i % length);
  return positions;
}

void make_shard_coordinates(Context& context, ForwardPass::Coordinates& coordinates, const Tensor& sample_ids,
                            int64_t length, const RowShard& shard) {
  coordinates.shard_positions = shard.of(coordinates.window_positions);
  const int64_t num_rows = coordinates.shard_positions.num_elements();
  coordinates.shard_positions = coordinates.shard_positions.reshape({num_rows, 1});
  coordinates.shard_sample_ids = context.workspace({num_rows}, DType::kInt64);
  for (int64_t i = 0; i < num_rows; ++i)
    coordinates.shard_sample_ids.data<int64_t>()[i] =
        sample_ids.data<int64_t>()[(shard.index * num_rows + i) / length];
}

}  // namespace

Tensor RowShard::of(const Tensor& per_row) const {
  const int64_t num_rows = per_row.num_elements() / count;
  return per_row.reshape({per_row.num_elements()}).slice(0, index * num_rows, num_rows);
}

ops::DropoutOptions dropout_options(Context& context, ForwardPass& pass, double probability,
                                    const std::string& site, Sequence sequence, const RowShard& shard) {
  if (!context.training || probability == 0) return {};
  ForwardPass::Coordinates& coordinates = pass.coordinates[static_cast<size_t>(sequence)];
  const int64_t length = pass.batch.length(sequence);
  if (!coordinates.window_positions.defined())
    coordinates.window_positions = make_window_positions(context, pass.batch.num_samples(), length);
  ops::DropoutOptions options{.probability = probability,
                              .key = RandomKey::make(pass.seed, RandomPurpose::kDropout,
                                                     static_cast<uint64_t>(pass.step), site_of(site)),
                              .sample_ids = pass.batch.sample_ids,
                              .positions = coordinates.window_positions};
  if (shard.count > 1) {
    if (!coordinates.shard_positions.defined())
      make_shard_coordinates(context, coordinates, pass.batch.sample_ids, length, shard);
    options.sample_ids = coordinates.shard_sample_ids;
    options.positions = coordinates.shard_positions;
  }
  return options;
}

Tensor counted_rows(Context& context, ForwardPass& pass, Sequence sequence, const RowShard& shard) {
  const Tensor& lengths = pass.batch.lengths_of(sequence);
  if (!lengths.defined()) return {};
  Tensor& counted = pass.coordinates[static_cast<size_t>(sequence)].counted;
  if (!counted.defined()) {
    const int64_t length = pass.batch.length(sequence);
    counted = context.zeros({pass.batch.num_samples(), length}, DType::kInt32, MemoryCategory::kWorkspace);
    for (int64_t sample = 0; sample < pass.batch.num_samples(); ++sample)
      std::fill_n(counted.row<int32_t>(sample), lengths.data<int32_t>()[sample], 1);
  }
  return shard.of(counted);
}

Tensor key_end(Context& context, const Batch& batch, Sequence queries, Sequence keys) {
  const Tensor& lengths = batch.lengths_of(keys);
  const Tensor& tokens = keys == Sequence::kSource ? batch.source_tokens : batch.tokens;
  const int64_t num_queries = batch.length(queries);
  Tensor ends = context.workspace({batch.num_samples(), num_queries}, DType::kInt32);
  bool all_seen = !lengths.defined();
  for (int64_t sample = 0; sample < batch.num_samples(); ++sample) {
    const int32_t* token = tokens.row<int32_t>(sample);
    const int64_t length = lengths.defined() ? lengths.data<int32_t>()[sample] : tokens.cols();
    const int64_t end = std::find(token, token + length, kHiddenToken) - token;
    all_seen = all_seen && end == tokens.cols();
    std::fill_n(ends.row<int32_t>(sample), num_queries, static_cast<int32_t>(end));
  }
  return all_seen ? Tensor() : ends;
}

}  // namespace nn
}  // namespace trireme
