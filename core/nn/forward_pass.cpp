#include "core/nn/forward_pass.h"

#include "core/autograd/parameter.h"

namespace trireme::nn {
namespace {

void make_window_positions(Context& context, ForwardPass& pass) {
  const int64_t length = pass.batch.length();
  pass.window_positions = context.workspace({pass.batch.num_samples(), length}, DType::kInt32);
  for (int64_t i = 0; i < pass.window_positions.num_elements(); ++i)
    pass.window_positions.data<int32_t>()[i] = static_cast<int32_t>(i % length);
}

void make_shard_coordinates(Context& context, ForwardPass& pass, const RowShard& shard) {
  pass.shard_positions = shard.of(pass.window_positions);
  const int64_t num_rows = pass.shard_positions.num_elements();
  pass.shard_positions = pass.shard_positions.reshape({num_rows, 1});
  pass.shard_sample_ids = context.workspace({num_rows}, DType::kInt64);
  for (int64_t i = 0; i < num_rows; ++i)
    pass.shard_sample_ids.data<int64_t>()[i] =
        pass.batch.sample_ids.data<int64_t>()[(shard.index * num_rows + i) / pass.batch.length()];
}

}  // namespace

Tensor RowShard::of(const Tensor& per_row) const {
  const int64_t num_rows = per_row.num_elements() / count;
  return per_row.reshape({per_row.num_elements()}).slice(0, index * num_rows, num_rows);
}

ops::DropoutOptions dropout_options(Context& context, ForwardPass& pass, double probability,
                                    const std::string& site, const RowShard& shard) {
  if (!context.training || probability == 0) return {};
  if (!pass.window_positions.defined()) make_window_positions(context, pass);
  ops::DropoutOptions options{.probability = probability,
                              .key = RandomKey::make(pass.seed, RandomPurpose::kDropout,
                                                     static_cast<uint64_t>(pass.step), site_of(site)),
                              .sample_ids = pass.batch.sample_ids,
                              .positions = pass.window_positions};
  if (shard.count > 1) {
    if (!pass.shard_positions.defined()) make_shard_coordinates(context, pass, shard);
    options.sample_ids = pass.shard_sample_ids;
    options.positions = pass.shard_positions;
  }
  return options;
}

}  // namespace trireme::nn
