#include "core/nn/plain_batch_norm.h"

#include "core/nn/parameters.h"

namespace trireme::nn {

PlainBatchNorm::PlainBatchNorm(const BatchNormSpec& spec, const RowShard& shard, SumOverRanks sum_over_ranks)
    : spec_(spec),
      shard_(shard),
      sum_over_ranks_(std::move(sum_over_ranks)),
      weight_(whole_parameter(spec.name + ".weight", {spec.features}, ones(), false)),
      bias_(whole_parameter(spec.name + ".bias", {spec.features}, zeros(), false)),
      running_mean_{spec.name + ".running_mean", {spec.features}, 0.0},
      running_variance_{spec.name + ".running_variance", {spec.features}, 1.0} {}

void PlainBatchNorm::collect(std::vector<Parameter*>& parameters) {
  parameters.push_back(&weight_);
  parameters.push_back(&bias_);
}

void PlainBatchNorm::collect_buffers(std::vector<Buffer*>& buffers) {
  buffers.push_back(&running_mean_);
  buffers.push_back(&running_variance_);
}

Variable PlainBatchNorm::forward(Context& context, ForwardPass& pass, const Variable& x) {
  // Over running statistics rows do not see each other, and there may be fewer of them than the batch has.
  const bool masked = context.training && !spec_.count_padding;
  return trireme::batch_norm(context,
                             {.eps = spec_.eps,
                              .momentum = spec_.momentum,
                              .weight = &weight_,
                              .bias = &bias_,
                              .running_mean = running_mean_.value,
                              .running_variance = running_variance_.value,
                              .sum_over_ranks = sum_over_ranks_},
                             x, masked ? counted_rows(context, pass, spec_.sequence, shard_) : Tensor());
}

}  // namespace trireme::nn
