#include "parallel/data_parallel/replicas.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>

#include "core/base/error.h"
#include "core/base/hash.h"

namespace trireme {
namespace {

/// What a flat tensor holds for one parameter, with the zeros that pad its rows.
std::string_view bytes_of(const ParameterStore& store, const Tensor& flat, size_t index) {
  const bool last = index + 1 == store.parameters().size();
  const int64_t begin = store.offset(index), end = last ? store.num_elements() : store.offset(index + 1);
  const Tensor part = flat.slice(0, begin, end - begin);
  return {reinterpret_cast<const char*>(part.raw()), static_cast<size_t>(part.num_bytes())};
}

std::vector<int> different_from_first(const std::vector<std::string>& texts) {
  std::vector<int> ranks;
  for (size_t rank = 1; rank < texts.size(); ++rank)
    if (texts[rank] != texts[0]) ranks.push_back(static_cast<int>(rank));
  return ranks;
}

}  // namespace

void expect_equal_on_all_ranks(Communicator& group, const std::string& text, const std::string& what) {
  const std::vector<int> ranks = different_from_first(group.gather_bytes(xxh3_128_hex(text)));
  if (!ranks.empty())
    throw CommError(
        fmt::format("{} differ between rank 0 and rank {} of group '{}'; start all ranks with the same "
                    "configuration and the same build",
                    what, fmt::join(ranks, ", "), group.name()),
        ExitCode::kRanksDisagree);
}

void check_replicas(const ParameterStore& store, Communicator& group) {
  constexpr size_t kDigits = 16;
  std::string hashes;
  for (size_t i = 0; i < store.parameters().size(); ++i)
    hashes += fmt::format("{:016x}", xxh3_64(bytes_of(store, store.values(), i)) ^
                                         3 * xxh3_64(bytes_of(store, store.masters(), i)));
  const std::vector<std::string> all = group.gather_bytes(hashes);
  if (different_from_first(all).empty()) return;
  for (size_t i = 0; i < store.parameters().size(); ++i) {
    std::vector<std::string> one;
    for (const std::string& rank : all) one.push_back(rank.substr(i * kDigits, kDigits));
    const std::vector<int> ranks = different_from_first(one);
    if (!ranks.empty())
      throw CommError(
          fmt::format("parameter {} is not the same on rank 0 and rank {} of group '{}'; replicas "
                      "must be equal bit by bit: restart from the last checkpoint, and look at "
                      "the memory and the processor of these ranks' hosts",
                      store.parameters()[i]->name, fmt::join(ranks, ", "), group.name()),
          ExitCode::kRanksDisagree);
  }
}

}  // namespace trireme
