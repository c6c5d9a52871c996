#pragma once

#include <memory>
#include <string>

#include "parallel/comm/communicator.h"

namespace trireme::comm {

enum class CallKind : int32_t {
  kAllReduce,
  kAllGather,
  kReduceScatter,
  kReduceScatterSlices,
  kAllGatherSlices,
  kAllToAll,
  kBroadcast,
  kSend,
  kReceive,
  kBarrier
};
inline constexpr size_t kNumCallKinds = static_cast<size_t>(CallKind::kBarrier) + 1;
const char* name_of(CallKind kind);

/// The arguments of one communication. all_reduce, broadcast and the two on slices work in place: input and
/// output are the same tensor; send has only an input, receive only an output, barrier neither.
struct Call {
  CallKind kind = CallKind::kBarrier;
  Tensor input;
  Tensor output;
  ReduceOp op = ReduceOp::kSum;
  int peer = -1;  ///< root, destination or source
  int tag = 0;

  const Tensor& payload() const { return input.defined() ? input : output; }
  std::string describe() const;  ///< "all_reduce of 1000 float32"
};

/// What `rank` reduces in an all_reduce, reduce_scatter or reduce_scatter_slices: elements of the input.
Slice slice_reduced(const Call& call, int rank, int size);
/// Bytes of the output that come from `peer`, where nothing is reduced.
Slice bytes_taken(const Call& call, int peer, int size);
/// Bytes of the input that `rank` gives to `peer`, where nothing is reduced.
Slice bytes_given(const Call& call, int rank, int peer, int size);

/// Who called and when; what an error message names.
struct CallSite {
  struct Names {
    std::string group;
    std::string host;
  };
  std::shared_ptr<const Names> names;  ///< shared: every operation holds its site
  int rank = 0;
  int size = 1;
  int64_t step = 0;
  int64_t sequence = 0;  ///< of the group's operations, from 1

  std::string describe(const Call& call) const;
};

}  // namespace trireme::comm
