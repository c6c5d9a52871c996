#include "parallel/checkpoint/replica_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <span>

#include "core/base/error.h"
#include "core/io/digest.h"

namespace trireme::checkpoint {
namespace {

constexpr size_t kNamed = 5;

std::string content_digest(const Tensor& tensor) {
  const auto* bytes = tensor.raw();
  if (tensor.is_contiguous()) return io::digest_of(std::span(bytes, static_cast<size_t>(tensor.num_bytes())));
  io::Digest digest;
  const int64_t element = size_of(tensor.dtype());
  for (int64_t row = 0; row < tensor.rows(); ++row)
    digest.update(
        std::span(bytes + row * tensor.row_stride() * element, static_cast<size_t>(tensor.cols() * element)));
  return digest.hex();
}

}  // namespace

void check_replicas(Communicator& world, const std::vector<HeldTensor>& tensors) {
  if (world.size() == 1) return;
  std::string digests;
  for (const HeldTensor& tensor : tensors) digests += content_digest(tensor.data);
  const std::vector<std::string> folded = world.gather_bytes(io::digest_of(digests));
  if (std::equal(folded.begin() + 1, folded.end(), folded.begin())) return;

  const std::vector<std::string> all = world.gather_bytes(digests);
  std::vector<std::string> named;
  size_t num_different = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    std::vector<size_t> ranks;
    for (size_t rank = 1; rank < all.size(); ++rank)
      if (all[rank].size() != all[0].size() || all[rank].substr(i * 32, 32) != all[0].substr(i * 32, 32))
        ranks.push_back(rank);
    if (ranks.empty()) continue;
    if (++num_different <= kNamed)
      named.push_back(
          fmt::format("{} {} (ranks {})", tensors[i].box.role, tensors[i].box.name, fmt::join(ranks, ", ")));
  }
  throw CommError(
      fmt::format("data-parallel replicas hold different numbers than rank 0 in {} of {} tensors: "
                  "{}{}; nothing is saved. Restart from the last checkpoint; if it happens again, "
                  "suspect the memory of those hosts",
                  num_different, tensors.size(), fmt::join(named, ", "),
                  num_different > kNamed ? ", ..." : ""),
      ExitCode::kRanksDisagree);
}

}  // namespace trireme::checkpoint
