#include "parallel/data_parallel/gradient_buckets.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/check.h"
#include "core/ops/reduce.h"
#include "parallel/data_parallel/counted_ranges.h"
#include "parallel/data_parallel/replicas.h"

namespace trireme {
namespace {

std::string describe(const ParameterLayout& layout, const std::vector<FlatRange>& buckets) {
  std::string text;
  for (size_t i = 0; i < layout.parameters().size(); ++i)
    text += fmt::format("{} {}\n", layout.parameters()[i]->name, layout.offset(i));
  for (const FlatRange& bucket : buckets) text += fmt::format("{} {}\n", bucket.begin, bucket.end);
  return text;
}

Tensor part(const Tensor& flat, const FlatRange& range) {
  return flat.slice(0, range.begin, range.length());
}

}  // namespace

ParameterStore::AllocateFlat flat_memory(Context& context, Communicator& data, int64_t zero_stage) {
  return [&context, &data, zero_stage](int64_t bytes, MemoryCategory category) {
    if (category == MemoryCategory::kGradients || zero_stage > 0)
      return data.allocate(context, bytes, category);
    return context.zeros({bytes}, DType::kUInt8, category).storage();
  };
}

GradientBuckets::GradientBuckets(ParameterStore& store, Mesh& mesh, std::vector<FlatRange> buckets,
                                 int64_t zero_stage)
    : store_(store),
      data_(mesh.data()),
      buckets_(std::move(buckets)),
      num_whole_buckets_(
          static_cast<size_t>(std::count_if(buckets_.begin(), buckets_.end(),
                                            [end = store.layout().offset(store.layout().num_whole())](
                                                const FlatRange& bucket) { return bucket.end <= end; }))),
      sharded_(zero_stage > 0),
      partial_sums_(store.layout(), mesh),
      counted_(counted_ranges(store.layout(), mesh, buckets_)),
      armed_(store.parameters().size(), 0),
      ready_(store.parameters().size(), 0) {
  expect_equal_on_all_ranks(data_, describe(store_.layout(), buckets_),
                            "the order and size of gradient buckets");
  TRIREME_ASSERT(store_.owned() == owned_ranges(buckets_, data_.rank(), data_.size(), zero_stage),
                 "the store owns something else than its slices of the buckets");
  for (size_t i = 0; i < ready_.size(); ++i) {
    index_of_[store_.parameters()[i]] = i;
    store_.parameters()[i]->on_ready = [this, i](Parameter&) { mark_ready(i); };
  }
}

GradientBuckets::~GradientBuckets() {
  for (Parameter* parameter : store_.parameters()) parameter->on_ready = nullptr;
}

void GradientBuckets::begin() {
  TRIREME_ASSERT(works_.empty(), "a step began before the one before had finished");
  store_.begin_accumulation();
  armed_.assign(armed_.size(), 0);
  ready_.assign(ready_.size(), 0);
  num_ready_ = 0;
}

void GradientBuckets::arm(const std::vector<Parameter*>& parameters) {
  for (const Parameter* parameter : parameters) {
    const size_t index = index_of_.at(parameter);
    armed_[index] = 1;
    if (!parameter->expects_more()) mark_ready(index);
  }
}

void GradientBuckets::mark_ready(size_t parameter) {
  // Without a gradient there is nothing to send before finish() has written zeros.
  if (!armed_[parameter] || !store_.parameters()[parameter]->has_gradient()) return;
  TRIREME_ASSERT(
      works_.empty() || store_.offset(parameter) >= buckets_[works_.size() - 1].end,
      "a gradient arrived after its reduction had started: " + store_.parameters()[parameter]->name);
  ready_[parameter] = 1;
  launch_ready();
}

void GradientBuckets::launch_ready() {
  while (num_ready_ < ready_.size() && ready_[num_ready_]) ++num_ready_;
  while (works_.size() < num_whole_buckets_ && buckets_[works_.size()].end <= store_.offset(num_ready_))
    launch_next();
}

void GradientBuckets::launch_next() {
  const Tensor gradients = part(store_.gradients(), buckets_[works_.size()]);
  works_.push_back(sharded_ ? data_.reduce_scatter_slices_async(gradients, ReduceOp::kSum)
                            : data_.all_reduce_async(gradients, ReduceOp::kSum));
}

void GradientBuckets::finish(Context& context) {
  num_overlapped_ = num_launched();
  store_.finish_accumulation(context);
  while (works_.size() < num_whole_buckets_) launch_next();
  partial_sums_.sum(context);
  while (works_.size() < buckets_.size()) launch_next();
  for (const auto& work : works_) work->wait();
  works_.clear();
  // A pass outside a step (to explain a divergence) must not start anything.
  armed_.assign(armed_.size(), 0);
}

double GradientBuckets::squared_gradient_norm(Context& context) const {
  double sum = 0;
  for (const FlatRange& range : counted_)
    sum += ops::sum_of_squares(context, part(store_.gradients(), range));
  return sum;
}

void GradientBuckets::gather_values() {
  if (!sharded_) return;
  std::vector<std::unique_ptr<Work>> works;
  for (const FlatRange& bucket : buckets_)
    works.push_back(data_.all_gather_slices_async(part(store_.values(), bucket)));
  for (const auto& work : works) work->wait();
}

}  // namespace trireme
