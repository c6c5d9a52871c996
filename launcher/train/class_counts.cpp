#include "launcher/train/class_counts.h"

#include <algorithm>

#include "core/nn/evaluation_guard.h"
#include "core/ops/elementwise.h"
#include "launcher/train/validation_batches.h"

namespace trireme {
namespace {

void count(Context& context, const Tensor& logits, const Tensor& labels, ConfusionMatrix& confusion) {
  Tensor wide = context.workspace(logits.shape(), DType::kFloat64);
  ops::cast(context, logits, wide);
  for (int64_t row = 0; row < wide.rows(); ++row) {
    const int32_t label = labels.data<int32_t>()[row];
    if (label < 0) continue;
    const double* first = wide.row<double>(row);
    const double* highest = std::max_element(first, first + wide.cols());
    confusion.add(label, first[label] == *highest ? label : highest - first);
  }
}

}  // namespace

ConfusionMatrix count_classes(Context& context, Model& model, Mesh& mesh, const SampleSource& source,
                              int64_t micro_batch_size, int64_t max_batches, int64_t num_classes) {
  const EvaluationGuard evaluation(context);
  ConfusionMatrix confusion(num_classes);
  ValidationBatches batches(source, mesh, micro_batch_size, max_batches);
  for (int64_t i = 0; i < batches.num_batches(); ++i) {
    const Batch batch = batches.next(context.allocator);
    ForwardPass pass{.batch = batch};
    count(context, model.logits(context, pass, false), batch.labels, confusion);
  }
  std::vector<int64_t>& counts = confusion.counts();
  Tensor sums = context.zeros({std::ssize(counts)}, DType::kFloat64, MemoryCategory::kWorkspace);
  std::copy(counts.begin(), counts.end(), sums.data<double>());
  mesh.world().all_reduce(sums, ReduceOp::kSum);
  std::copy_n(sums.data<double>(), counts.size(), counts.begin());
  return confusion;
}

}  // namespace trireme
