#include "core/nn/forward_pass.h"

#include "core/autograd/parameter.h"

namespace trireme::nn {

ops::DropoutOptions dropout_options(Context& context, ForwardPass& pass, double probability,
                                    const std::string& site) {
  if (!context.training || probability == 0) return {};
  if (!pass.window_positions.defined()) {
    const int64_t length = pass.batch.length();
    pass.window_positions = Tensor::allocate(context.allocator, {pass.batch.num_samples(), length},
                                             DType::kInt32, MemoryCategory::kWorkspace);
    for (int64_t i = 0; i < pass.window_positions.num_elements(); ++i)
      pass.window_positions.data<int32_t>()[i] = static_cast<int32_t>(i % length);
  }
  return {.probability = probability,
          .key = RandomKey::make(pass.seed, RandomPurpose::kDropout, static_cast<uint64_t>(pass.step),
                                 site_of(site)),
          .sample_ids = pass.batch.sample_ids,
          .positions = pass.window_positions};
}

}  // namespace trireme::nn
