#pragma once

#ifdef TRIREME_PLANTED_BUGS
#include <atomic>
#endif

namespace trireme {

/// Known ways in which composed parallelism goes silently wrong (Megatron-LM issue 7452 lists most of them).
/// The mutation check (tests/mutation) builds parallel/ a second time with TRIREME_PLANTED_BUGS, plants one
/// at a time and counts the random layouts until the property test sees it. In every other build `planted` is
/// false at compile time.
enum class Bug {
  kNone,
  kGatheredLogits,          ///< whole-vocabulary softmax sums taken for local ones and added up again
  kNormGradientsNotSummed,  ///< partial gradients of replicated parameters stay unsummed over tensor ranks
  kShardsMissingFromNorm,   ///< the clip norm counts the first tensor rank's shards only
  kTiedCountedTwice,        ///< a tied embedding enters the clip norm on both of its stages
  kLossScaledTwice,         ///< the loss is divided by the number of micro-batches on top
  kWrongKeyValueCopies,     ///< a copied key head is taken by its rank, not by its group
  kStageLocalLayerNumbers,  ///< layers are numbered from 0 in every stage
  kMicroBatchAveraging,     ///< micro-batches are averaged, whatever their numbers of targets
};

#ifdef TRIREME_PLANTED_BUGS
inline std::atomic<Bug> planted_bug = Bug::kNone;
inline bool planted(Bug bug) {
  return planted_bug.load(std::memory_order_relaxed) == bug;
}
#else
constexpr bool planted(Bug) {
  return false;
}
#endif

}  // namespace trireme
