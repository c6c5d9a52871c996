#include "launcher/train/evaluation.h"

#include <vector>

#include "core/nn/evaluation_guard.h"

namespace trireme {

EvaluationResult evaluate(Context& context, Model& model, const SampleSource& source, Communicator& data,
                          int64_t micro_batch_size, int64_t max_batches) {
  const EvaluationGuard evaluation(context);
  Tensor totals = context.zeros({2}, DType::kFloat64, MemoryCategory::kWorkspace);  // loss, tokens
  double* total = totals.data<double>();
  const int64_t num_windows = source.num_samples();
  int64_t window = data.rank();
  for (int64_t batch_number = 0; window < num_windows; ++batch_number) {
    if (max_batches > 0 && batch_number == max_batches) break;
    std::vector<int64_t> windows;
    for (; window < num_windows && static_cast<int64_t>(windows.size()) < micro_batch_size;
         window += data.size())
      windows.push_back(window);
    const Batch batch = source.make_batch(context.allocator, windows);
    ForwardPass pass{.batch = batch};
    model.loss(context, pass);
    total[0] += pass.loss_sum;
    total[1] += static_cast<double>(pass.loss_count);
    data.progress();
  }
  data.all_reduce(totals, ReduceOp::kSum);
  return {total[1] > 0 ? total[0] / total[1] : 0.0, static_cast<int64_t>(total[1])};
}

}  // namespace trireme
