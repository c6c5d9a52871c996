#include "parallel/comm/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace trireme::comm {

const char* name_of(CallKind kind) {
  static constexpr std::array<const char*, 8> kNames = {
      "all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "send", "receive", "barrier"};
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

Slice slice_of(int64_t count, int64_t element_size, int part, int num_parts) {
  const int64_t per_line = 64 / element_size;
  const int64_t even = (count + num_parts - 1) / num_parts;
  const int64_t length = (even + per_line - 1) / per_line * per_line;
  return {std::min(count, part * length), std::min(count, (part + 1) * length)};
}

}  // namespace trireme::comm
