#pragma once

#include "core/autograd/buffer.h"
#include "core/autograd/functions/batch_norm.h"
#include "core/nn/layer_builder.h"

namespace trireme::nn {

/// BatchNorm over this rank's rows; `sum_over_ranks` adds its sums up over those that hold the others (null:
/// there are none).
class PlainBatchNorm final : public Norm {
 public:
  PlainBatchNorm(const BatchNormSpec& spec, const RowShard& shard, SumOverRanks sum_over_ranks);
  void collect(std::vector<Parameter*>& parameters) override;
  void collect_buffers(std::vector<Buffer*>& buffers) override;
  Variable forward(Context& context, ForwardPass& pass, const Variable& x) override;

 private:
  BatchNormSpec spec_;
  RowShard shard_;
  SumOverRanks sum_over_ranks_;
  Parameter weight_, bias_;
  Buffer running_mean_, running_variance_;
};

}  // namespace trireme::nn
