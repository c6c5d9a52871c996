#include "core/data/example_source.h"

#include <fmt/format.h>

#include "core/base/hash.h"

namespace trireme {

ExampleSource::ExampleSource(Files files, SampleOrder order, std::optional<uint64_t> bucket_seed,
                             const DataConfig& config, const SampleNeeds& needs)
    : files_(std::move(files)), order_(std::move(order)), config_(config), needs_(needs) {
  if (!bucket_seed || config.length_bucket == 0) return;
  buckets_ = std::make_unique<LengthBuckets>(num_samples(), config.length_bucket, needs.global_batch_size,
                                             *bucket_seed, [this](int64_t sample) {
                                               const auto [file, index] = order_.place_of(sample);
                                               return files_[file]->num_tokens(index);
                                             });
}

int64_t ExampleSource::num_left_out() const {
  int64_t sum = 0;
  for (const auto& file : files_) sum += file->num_left_out();
  return sum;
}

Batch ExampleSource::make_batch(Allocator& allocator, std::span<const int64_t> sample_numbers) const {
  std::vector<SampleContent> samples;
  for (const int64_t number : sample_numbers) {
    const auto [file, index] = order_.place_of(buckets_ ? (*buckets_)(number) : number);
    samples.push_back(files_[file]->make(index));
  }
  return pad_samples(allocator, config_, needs_, sample_numbers, samples);
}

std::string ExampleSource::fingerprint() const {
  std::string content = fmt::format("seed {}", order_.seed());
  if (buckets_)
    content += fmt::format("\nbuckets of {} samples for steps of {}", config_.length_bucket,
                           needs_.global_batch_size);
  for (size_t i = 0; i < files_.size(); ++i)
    content += fmt::format("\n{} weight {}", files_[i]->description(), order_.weight(i));
  return xxh3_128_hex(content);
}

}  // namespace trireme
