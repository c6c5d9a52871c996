#include "parallel/data_parallel/replicas.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "parallel/data_parallel/shared_pieces.h"

namespace trireme {
namespace {

constexpr size_t kDigits = 16;
const std::string kUnknown(kDigits, '-');

/// What this rank compares: a name and the hash of its bits, or kUnknown where it does not hold them all.
struct Item {
  std::string name;
  std::string hash;
};

/// With the zeros that pad the rows between.
std::string hash_of(const Tensor& flat, const FlatRange& range) {
  const Tensor part = flat.slice(0, range.begin, range.length());
  return fmt::format(
      "{:016x}", xxh3_64({reinterpret_cast<const char*>(part.raw()), static_cast<size_t>(part.num_bytes())}));
}

/// Collective. Says which item differs first, and on which ranks of the world; empty when none does.
std::string difference(Communicator& group, int world_rank, const std::vector<Item>& items) {
  std::string mine = fmt::format("{:016x}", world_rank);
  for (const Item& item : items) mine += item.hash;
  const std::vector<std::string> all = group.gather_bytes(mine);
  const auto entry = [&](size_t rank, size_t index) {
    return all[rank].size() < (index + 1) * kDigits ? kUnknown : all[rank].substr(index * kDigits, kDigits);
  };
  for (size_t i = 0; i < items.size(); ++i) {
    size_t first = 0;
    std::vector<int64_t> ranks;
    for (size_t rank = 0; rank < all.size(); ++rank) {
      if (entry(first, i + 1) == kUnknown) first = rank;
      if (entry(rank, i + 1) == kUnknown || entry(rank, i + 1) == entry(first, i + 1)) continue;
      if (ranks.empty()) ranks.push_back(std::stoll(entry(first, 0), nullptr, 16));
      ranks.push_back(std::stoll(entry(rank, 0), nullptr, 16));
    }
    if (!ranks.empty())
      return fmt::format("parameter {} is not the same on rank {} (group '{}')", items[i].name,
                         fmt::join(ranks, " and rank "), group.name());
  }
  return {};
}

}  // namespace

void expect_equal_on_all_ranks(Communicator& group, const std::string& text, const std::string& what) {
  const std::vector<std::string> all = group.gather_bytes(xxh3_128_hex(text));
  std::vector<size_t> ranks;
  for (size_t rank = 1; rank < all.size(); ++rank)
    if (all[rank] != all[0]) ranks.push_back(rank);
  if (!ranks.empty())
    throw CommError(
        fmt::format("{} differ between rank 0 and rank {} of group '{}'; start all ranks with the same "
                    "configuration and the same build",
                    what, fmt::join(ranks, ", "), group.name()),
        ExitCode::kRanksDisagree);
}

void check_replicas(const ParameterStore& store, Mesh& mesh) {
  const ParameterLayout& layout = store.layout();
  const int world_rank = mesh.world().rank();
  std::vector<Item> items;
  for (size_t i = 0; i < layout.parameters().size(); ++i) {
    const std::string& name = layout.parameters()[i]->name;
    items.push_back({name, hash_of(store.values(), layout.range(i))});
    if (store.has_masters())
      items.push_back({name, store.owns_all() ? hash_of(store.masters(), layout.range(i)) : kUnknown});
  }
  for (const Buffer* buffer : store.buffers())
    items.push_back({buffer->name, hash_of(buffer->value, {0, buffer->value.num_elements()})});
  std::string found = difference(mesh.data(), world_rank, items);
  for (const SharedPieces& shared : find_shared_pieces(layout, mesh)) {
    items.clear();
    for (const auto& [parameter, piece] : shared.pieces)
      items.push_back({layout.parameters()[parameter]->pieces[piece].name,
                       hash_of(store.values(), layout.piece_range(parameter, piece))});
    const std::string next = difference(*shared.ranks, world_rank, items);
    if (found.empty()) found = next;
  }
  // Every rank learns what any group found, so that all stop with the same words.
  for (const std::string& text : mesh.world().gather_bytes(found))
    if (!text.empty())
      throw CommError(text +
                          "; replicas must be equal bit by bit: restart from the last checkpoint, and "
                          "look at the memory and the processor of these ranks' hosts",
                      ExitCode::kRanksDisagree);
}

}  // namespace trireme
