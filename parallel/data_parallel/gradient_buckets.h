#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/optim/parameter_store.h"
#include "parallel/data_parallel/bucket_plan.h"
#include "parallel/data_parallel/partial_sums.h"
#include "parallel/mesh/mesh.h"

namespace trireme {

/// Memory for a ParameterStore: gradients, which the data ranks reduce, and under ZeRO (zero_stage > 0)
/// values, which they gather, lie where `data` does so fastest. Both arguments must outlive what is made;
/// using it is collective over `data`.
ParameterStore::AllocateFlat flat_memory(Context& context, Communicator& data, int64_t zero_stage);

/// Sums the gradients of a ParameterStore over the ranks, while backward still runs (Li et al. 2020, "PyTorch
/// Distributed", section 3.2). Buckets are ranges of the flat gradients, in flat order: the order in which
/// backward finishes them. The longest ready prefix of them is under way at any time, so every data rank
/// starts the same reductions in the same order. Nothing is communicated for a parameter before it is armed.
/// There is no averaging: the loss is normalised once, by the targets of the whole global batch.
///
/// zero_stage 0: a bucket is all-reduced. 1 (ZeRO, Rajbhandari et al. 2020): it is reduce-scattered, the rank
/// updates its slice, and gather_values() gives it to the others. Element by element the sums are the same.
/// Partial gradients are completed over their other axes in finish(), before their buckets are reduced.
class GradientBuckets {
 public:
  /// `buckets` come from plan_buckets, store.owned() from owned_ranges of them. Collective over the world:
  /// CommError (exit 76) when the data ranks' buckets differ. Takes the parameters' on_ready hooks.
  GradientBuckets(ParameterStore& store, Mesh& mesh, std::vector<FlatRange> buckets, int64_t zero_stage);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  /// Of a step: gradients start anew, nothing is armed.
  void begin();
  /// The backward that comes next is the step's last one to contribute to these parameters (a chunk of the
  /// model). Those that wait for no contribution any more are ready at once.
  void arm(const std::vector<Parameter*>& parameters);
  /// Zeroes the gradients that did not arrive, reduces what is left and waits for everything.
  void finish(Context& context);
  /// After finish(): this rank's share of the squared norm of all gradients; the sum of the world's shares is
  /// the whole. Every element is counted once: by one of the ranks that hold it, in float64. A rank's share
  /// is the same in every ZeRO stage.
  double squared_gradient_norm(Context& context) const;
  /// After the update, under ZeRO: every data rank gets the values that the others own. Waits.
  void gather_values();

  const std::vector<FlatRange>& buckets() const { return buckets_; }
  int64_t num_launched() const { return static_cast<int64_t>(works_.size()); }  ///< of this step
  int64_t num_overlapped() const { return num_overlapped_; }  ///< of the last step: started before finish()

 private:
  void mark_ready(size_t parameter);
  void launch_ready();
  void launch_next();

  ParameterStore& store_;
  Communicator& data_;
  std::vector<FlatRange> buckets_;
  size_t num_whole_buckets_;  ///< the others hold partial gradients
  bool sharded_;
  PartialSums partial_sums_;
  std::vector<FlatRange> counted_;  ///< what this rank counts of the norm
  std::unordered_map<const Parameter*, size_t> index_of_;
  std::vector<char> armed_, ready_;  ///< by parameter, in flat order
  size_t num_ready_ = 0;             ///< length of the ready prefix, in parameters
  std::vector<std::unique_ptr<Work>> works_;
  int64_t num_overlapped_ = 0;
};

}  // namespace trireme
