#include "parallel/comm/call.h"

#include <fmt/format.h>

#include <array>

namespace trireme::comm {

const char* name_of(CallKind kind) {
  static constexpr std::array<const char*, 10> kNames = {
      "all_reduce",        "all_gather", "reduce_scatter", "reduce_scatter_slices",
      "all_gather_slices", "all_to_all", "broadcast",      "send",
      "receive",           "barrier"};
  return kNames[static_cast<size_t>(kind)];
}

std::string Call::describe() const {
  std::string text = name_of(kind);
  if (payload().defined())
    text += fmt::format(" of {} {}", payload().num_elements(), trireme::name_of(payload().dtype()));
  if (kind == CallKind::kBroadcast) text += fmt::format(" from rank {}", peer);
  if (kind == CallKind::kSend) text += fmt::format(" to rank {}, tag {}", peer, tag);
  if (kind == CallKind::kReceive) text += fmt::format(" from rank {}, tag {}", peer, tag);
  return text;
}

Slice slice_reduced(const Call& call, int rank, int size) {
  if (call.kind != CallKind::kReduceScatter) return slice_of_rank(call.input.num_elements(), rank, size);
  const int64_t count = call.output.num_elements();
  return {rank * count, (rank + 1) * count};
}

Slice bytes_taken(const Call& call, int peer, int size) {
  const Tensor& output = call.output;
  if (call.kind == CallKind::kBroadcast) return {0, peer == call.peer ? output.num_bytes() : 0};
  if (call.kind == CallKind::kAllGatherSlices) {
    const Slice slice = slice_of_rank(output.num_elements(), peer, size);
    return {slice.begin * size_of(output.dtype()), slice.end * size_of(output.dtype())};
  }
  const int64_t bytes = output.num_bytes() / size;
  return {peer * bytes, (peer + 1) * bytes};
}

Slice bytes_given(const Call& call, int rank, int peer, int size) {
  if (call.kind == CallKind::kAllToAll) return bytes_taken(call, peer, size);
  if (call.kind == CallKind::kAllGatherSlices) return bytes_taken(call, rank, size);
  return {0, call.input.num_bytes()};
}

std::string CallSite::describe(const Call& call) const {
  return fmt::format("rank {} of {} in group '{}' (host {}), step {}, operation {}: {}", rank, size,
                     names->group, names->host, step, sequence, call.describe());
}

}  // namespace trireme::comm
