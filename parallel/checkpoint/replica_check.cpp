#include "parallel/checkpoint/replica_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <string_view>

#include "core/base/error.h"
#include "core/io/digest.h"

namespace trireme::checkpoint {
namespace {

constexpr size_t kNamed = 5;
constexpr size_t kDigits = 32;

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

/// For each group of replicas that this rank is in, in the plan's order: the digests of its boxes.
std::vector<std::string> digests_of_groups(size_t rank, const std::vector<HeldTensor>& tensors,
                                           const SavePlan& plan, int num_threads) {
  std::vector<size_t> boxes, ends;  // held boxes of all groups, and where each group ends in them
  for (const Replicas& replicas : plan.replicas) {
    const auto found = std::find(replicas.ranks.begin(), replicas.ranks.end(), rank);
    if (found == replicas.ranks.end()) continue;
    const std::vector<size_t>& held = replicas.held[static_cast<size_t>(found - replicas.ranks.begin())];
    boxes.insert(boxes.end(), held.begin(), held.end());
    ends.push_back(boxes.size());
  }
  std::vector<std::string> digests(boxes.size());
#pragma omp parallel for num_threads(num_threads) schedule(dynamic)
  for (size_t i = 0; i < boxes.size(); ++i) digests[i] = content_digest(tensors[boxes[i]].data);
  std::vector<std::string> groups;
  for (size_t box = 0; const size_t end : ends) {
    groups.emplace_back();
    for (; box < end; ++box) groups.back() += digests[box];
  }
  return groups;
}

/// Takes apart what the ranks of a group said, group by group.
class Answers {
 public:
  explicit Answers(const std::vector<std::string>& all) : all_(all), position_(all.size(), 0) {}

  /// The next `length` characters of each of the ranks.
  std::vector<std::string_view> next(const std::vector<size_t>& ranks, size_t length) {
    std::vector<std::string_view> parts;
    for (const size_t rank : ranks) {
      parts.push_back(std::string_view(all_[rank]).substr(position_[rank], length));
      position_[rank] += length;
    }
    return parts;
  }

 private:
  const std::vector<std::string>& all_;
  std::vector<size_t> position_;
};

bool all_equal(const std::vector<std::string_view>& parts) {
  return std::adjacent_find(parts.begin(), parts.end(), std::not_equal_to<>()) == parts.end();
}

/// A few characters a group: what is sent when all is well.
bool groups_are_equal(Communicator& world, const std::vector<std::string>& groups, const SavePlan& plan) {
  std::string folded;
  for (const std::string& digests : groups) folded += io::digest_of(digests);
  const std::vector<std::string> all = world.gather_bytes(folded);
  Answers answers(all);
  return std::all_of(plan.replicas.begin(), plan.replicas.end(), [&](const Replicas& replicas) {
    return all_equal(answers.next(replicas.ranks, kDigits));
  });
}

/// "model h.0.norm.weight (ranks 1, 3 differ from rank 0)".
std::string name_difference(const TensorBox& box, const std::vector<size_t>& ranks,
                            const std::vector<std::string_view>& digests) {
  std::vector<size_t> different;
  for (size_t i = 1; i < ranks.size(); ++i)
    if (digests[i] != digests[0]) different.push_back(ranks[i]);
  const bool whole = box.box.extent == box.global_shape;
  return fmt::format("{} {}{} ({} {} from rank {})", box.role, box.name,
                     whole ? "" : " box " + to_string(box.box),
                     different.size() == 1 ? fmt::format("rank {}", different[0])
                                           : fmt::format("ranks {}", fmt::join(different, ", ")),
                     different.size() == 1 ? "differs" : "differ", ranks[0]);
}

}  // namespace

void check_replicas(Communicator& world, const std::vector<HeldTensor>& tensors, const SavePlan& plan,
                    int num_threads) {
  if (plan.replicas.empty()) return;
  const std::vector<std::string> groups =
      digests_of_groups(static_cast<size_t>(world.rank()), tensors, plan, num_threads);
  if (groups_are_equal(world, groups, plan)) return;

  std::string details;
  for (const std::string& digests : groups) details += digests;
  const std::vector<std::string> all = world.gather_bytes(details);
  Answers answers(all);
  std::vector<std::string> named;
  size_t num_boxes = 0, num_different = 0;
  for (const Replicas& replicas : plan.replicas)
    for (const size_t held : replicas.held[0]) {
      ++num_boxes;
      const std::vector<std::string_view> digests = answers.next(replicas.ranks, kDigits);
      if (all_equal(digests) || ++num_different > kNamed) continue;
      named.push_back(name_difference(plan.held[replicas.ranks[0]][held], replicas.ranks, digests));
    }
  throw CommError(
      fmt::format("ranks that hold the same box hold different numbers, in {} of {} boxes: {}{}; nothing is "
                  "saved. Restart from the last checkpoint; if it happens again, suspect the memory of those "
                  "hosts",
                  num_different, num_boxes, fmt::join(named, ", "), num_different > kNamed ? ", ..." : ""),
      ExitCode::kRanksDisagree);
}

}  // namespace trireme::checkpoint
