#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/optim/parameter_store.h"
#include "parallel/comm/communicator.h"

namespace trireme {

/// Memory for a ParameterStore: gradients, which `data` reduces, and under ZeRO (zero_stage > 0) values,
/// which it gathers, where it does so fastest. Both must outlive what is made; using it is collective over
/// `data`.
ParameterStore::AllocateFlat flat_memory(Context& context, Communicator& data, int64_t zero_stage);

/// Sums the gradients of a ParameterStore over the data ranks while backward still runs (Li et al. 2020,
/// "PyTorch Distributed", section 3.2). A bucket is a range of the flat gradients, whole parameters of about
/// `bucket_bytes`, in flat order: the order in which backward finishes them. After `arm`, called before the
/// last micro-batch, the longest ready prefix of buckets is under way at any time, so every rank starts the
/// same reductions in the same order; before it nothing is communicated. There is no averaging: the loss is
/// normalised once, by the targets of the whole global batch.
class GradientBuckets {
 public:
  struct Bucket {
    int64_t begin = 0;  ///< elements of the flat gradients
    int64_t end = 0;
    size_t last_parameter = 0;  ///< index in flat order
  };

  /// Collective: CommError (exit 76) when the ranks' buckets differ. Takes the parameters' on_ready hooks.
  GradientBuckets(ParameterStore& store, Communicator& data, int64_t bucket_bytes);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  /// The micro-batch that follows is the last of the step.
  void arm();
  /// Zeroes the gradients that did not arrive, reduces what is left and waits for everything.
  void finish(Context& context);

  const std::vector<Bucket>& buckets() const { return buckets_; }
  int64_t num_launched() const { return static_cast<int64_t>(works_.size()); }  ///< of this step
  int64_t num_overlapped() const { return num_overlapped_; }  ///< of the last step: started before finish()

 private:
  void mark_ready(size_t parameter);
  void launch_ready();
  void launch(const Bucket& bucket);

  ParameterStore& store_;
  Communicator& data_;
  std::vector<Bucket> buckets_;
  std::vector<char> ready_;  ///< by parameter, in flat order
  size_t num_ready_ = 0;     ///< length of the ready prefix, in parameters
  bool armed_ = false;
  std::vector<std::unique_ptr<Work>> works_;
  int64_t num_overlapped_ = 0;
};

}  // namespace trireme
