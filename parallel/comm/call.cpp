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

std::string CallSite::describe(const Call& call) const {
  return fmt::format("rank {} of {} in group '{}' (host {}), step {}, operation {}: {}", rank, size, group,
                     host, step, sequence, call.describe());
}

}  // namespace trireme::comm
