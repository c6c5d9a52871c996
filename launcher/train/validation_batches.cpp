#include "launcher/train/validation_batches.h"

#include <algorithm>
#include <vector>

namespace trireme {

ValidationBatches::ValidationBatches(const SampleSource& source, Mesh& mesh, int64_t micro_batch_size,
                                     int64_t max_batches)
    : source_(source),
      micro_batch_size_(micro_batch_size),
      sample_(mesh.data().rank()),
      stride_(mesh.data().size()) {
  const int64_t mine = std::max<int64_t>(0, (source.num_samples() - sample_ + stride_ - 1) / stride_);
  num_batches_ = (mine + micro_batch_size - 1) / micro_batch_size;
  if (max_batches > 0) num_batches_ = std::min(num_batches_, max_batches);
}

Batch ValidationBatches::next(Allocator& allocator) {
  std::vector<int64_t> samples;
  for (; sample_ < source_.num_samples() && std::ssize(samples) < micro_batch_size_; sample_ += stride_)
    samples.push_back(sample_);
  return source_.make_batch(allocator, samples);
}

}  // namespace trireme
