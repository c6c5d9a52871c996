#include "core/data/padded_batch.h"

#include <algorithm>
#include <numeric>

#include "core/data/sample_source.h"

namespace trireme {
namespace {

/// One sequence of a batch as its tensors.
struct Padded {
  Tensor tokens, positions, lengths;
};

class PaddedBatch {
 public:
  PaddedBatch(Allocator& allocator, const DataConfig& config, std::span<const int64_t> sample_numbers,
              const std::vector<SampleContent>& samples)
      : allocator_(allocator), config_(config), samples_(samples) {
    batch_.sample_ids = allocate({num_rows()}, DType::kInt64);
    std::copy(sample_numbers.begin(), sample_numbers.end(), batch_.sample_ids.data<int64_t>());
  }

  Batch make(const SampleNeeds& needs) {
    const Padded own = pad(&SampleContent::tokens);
    batch_.tokens = own.tokens;
    batch_.positions = own.positions;
    batch_.lengths = own.lengths;
    for (int64_t row = 0; row < num_rows(); ++row)
      std::copy(samples_[row].positions.begin(), samples_[row].positions.end(),
                batch_.positions.row<int32_t>(row));
    const Shape shape = batch_.tokens.shape();
    batch_.targets = rows(shape, &SampleContent::targets, kNoTarget);
    for (const SampleContent& sample : samples_)
      batch_.num_targets[LossTerm::kTokens] +=
          std::count_if(sample.targets.begin(), sample.targets.end(), [](int32_t t) { return t >= 0; });
    const bool classes = needs.objective == Objective::kClassification;
    if (classes || needs.objective == Objective::kMasked)
      batch_.segments = rows(shape, &SampleContent::segments, 0);
    if (classes || needs.next_sentence) add_labels();
    if (needs.objective == Objective::kTranslation) {
      const Padded source = pad(&SampleContent::source);
      batch_.source_tokens = source.tokens;
      batch_.source_positions = source.positions;
      batch_.source_lengths = source.lengths;
    }
    return std::move(batch_);
  }

 private:
  using Ids = std::vector<int32_t> SampleContent::*;

  int64_t num_rows() const { return static_cast<int64_t>(samples_.size()); }
  Tensor allocate(Shape shape, DType dtype) const {
    return Tensor::allocate(allocator_, std::move(shape), dtype, MemoryCategory::kWorkspace);
  }

  int64_t padded_length(Ids ids) const {
    if (config_.pad_to_seq_length) return config_.seq_length;
    size_t longest = 1;
    for (const SampleContent& sample : samples_) longest = std::max(longest, (sample.*ids).size());
    const int64_t multiple = config_.pad_to_multiple;
    return (static_cast<int64_t>(longest) + multiple - 1) / multiple * multiple;
  }

  Tensor rows(const Shape& shape, Ids ids, int32_t padding) const {
    Tensor tensor = allocate(shape, DType::kInt32);
    for (int64_t row = 0; row < num_rows(); ++row) {
      const std::vector<int32_t>& content = samples_[row].*ids;
      int32_t* end = std::copy(content.begin(), content.end(), tensor.row<int32_t>(row));
      std::fill(end, tensor.row<int32_t>(row) + tensor.cols(), padding);
    }
    return tensor;
  }

  Padded pad(Ids ids) const {
    const int64_t length = padded_length(ids);
    Padded padded{rows({num_rows(), length}, ids, 0), allocate({num_rows(), length}, DType::kInt32),
                  allocate({num_rows()}, DType::kInt32)};
    for (int64_t row = 0; row < num_rows(); ++row) {
      std::iota(padded.positions.row<int32_t>(row), padded.positions.row<int32_t>(row) + length, 0);
      padded.lengths.data<int32_t>()[row] = static_cast<int32_t>((samples_[row].*ids).size());
    }
    return padded;
  }

  void add_labels() {
    batch_.labels = allocate({num_rows()}, DType::kInt32);
    for (int64_t row = 0; row < num_rows(); ++row) {
      batch_.labels.data<int32_t>()[row] = samples_[row].label;
      batch_.num_targets[LossTerm::kSamples] += samples_[row].label >= 0 ? 1 : 0;
    }
  }

  Allocator& allocator_;
  const DataConfig& config_;
  const std::vector<SampleContent>& samples_;
  Batch batch_;
};

}  // namespace

Batch pad_samples(Allocator& allocator, const DataConfig& config, const SampleNeeds& needs,
                  std::span<const int64_t> sample_numbers, const std::vector<SampleContent>& samples) {
  return PaddedBatch(allocator, config, sample_numbers, samples).make(needs);
}

}  // namespace trireme
