#include "parallel/data_parallel/gradient_buckets.h"

#include <fmt/format.h>

#include "core/base/check.h"
#include "parallel/data_parallel/replicas.h"

namespace trireme {
namespace {

std::vector<GradientBuckets::Bucket> cut(const ParameterStore& store, int64_t bucket_bytes) {
  const int64_t element = size_of(store.gradients().dtype());
  std::vector<GradientBuckets::Bucket> buckets;
  int64_t begin = 0;
  for (size_t i = 0; i < store.parameters().size(); ++i) {
    const bool last = i + 1 == store.parameters().size();
    const int64_t end = last ? store.num_elements() : store.offset(i + 1);
    if (last || (end - begin) * element >= bucket_bytes) {
      buckets.push_back({begin, end, i});
      begin = end;
    }
  }
  return buckets;
}

std::string describe(const ParameterStore& store, const std::vector<GradientBuckets::Bucket>& buckets) {
  std::string text;
  for (size_t i = 0; i < store.parameters().size(); ++i)
    text += fmt::format("{} {}\n", store.parameters()[i]->name, store.offset(i));
  for (const auto& bucket : buckets) text += fmt::format("{} {}\n", bucket.begin, bucket.end);
  return text;
}

}  // namespace

ParameterStore::AllocateFlat flat_memory(Context& context, Communicator& data, int64_t zero_stage) {
  return [&context, &data, zero_stage](int64_t bytes, MemoryCategory category) {
    if (category == MemoryCategory::kGradients || zero_stage > 0)
      return data.allocate(context, bytes, category);
    return context.zeros({bytes}, DType::kUInt8, category).storage();
  };
}

GradientBuckets::GradientBuckets(ParameterStore& store, Communicator& data, int64_t bucket_bytes)
    : store_(store), data_(data), buckets_(cut(store, bucket_bytes)), ready_(store.parameters().size(), 0) {
  expect_equal_on_all_ranks(data_, describe(store_, buckets_), "the order and size of gradient buckets");
  for (size_t i = 0; i < ready_.size(); ++i)
    store_.parameters()[i]->on_ready = [this, i](Parameter&) { mark_ready(i); };
}

GradientBuckets::~GradientBuckets() {
  for (Parameter* parameter : store_.parameters()) parameter->on_ready = nullptr;
}

void GradientBuckets::arm() {
  TRIREME_ASSERT(!armed_ && works_.empty(), "buckets were armed twice");
  ready_.assign(ready_.size(), 0);
  num_ready_ = 0;
  armed_ = true;
}

void GradientBuckets::mark_ready(size_t parameter) {
  if (!armed_) return;
  TRIREME_ASSERT(
      works_.empty() || parameter > buckets_[works_.size() - 1].last_parameter,
      "a gradient arrived after its reduction had started: " + store_.parameters()[parameter]->name);
  ready_[parameter] = 1;
  launch_ready();
}

void GradientBuckets::launch_ready() {
  while (num_ready_ < ready_.size() && ready_[num_ready_]) ++num_ready_;
  while (works_.size() < buckets_.size() && buckets_[works_.size()].last_parameter < num_ready_)
    launch(buckets_[works_.size()]);
}

void GradientBuckets::launch(const Bucket& bucket) {
  works_.push_back(data_.all_reduce_async(
      store_.gradients().slice(0, bucket.begin, bucket.end - bucket.begin), ReduceOp::kSum));
}

void GradientBuckets::finish(Context& context) {
  TRIREME_ASSERT(armed_, "buckets were not armed");
  num_overlapped_ = num_launched();
  store_.finish_accumulation(context);
  while (works_.size() < buckets_.size()) launch(buckets_[works_.size()]);
  for (const auto& work : works_) work->wait();
  works_.clear();
  armed_ = false;
}

}  // namespace trireme
