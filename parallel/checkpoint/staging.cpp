#include "parallel/checkpoint/staging.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/base/available_memory.h"
#include "core/base/error.h"
#include "parallel/checkpoint/agreement.h"

namespace trireme::checkpoint {
namespace {

constexpr int64_t kAlignment = 64;
/// Small enough to divide evenly over threads.
constexpr int64_t kPiece = int64_t{1} << 20;

/// Where a box of so many bytes ends, aligned.
int64_t aligned(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

int64_t bytes_needed(const SavePlan& plan, size_t rank) {
  int64_t bytes = 0;
  for (const PlannedBox& planned : plan.ranks[rank])
    bytes += aligned(planned.box.num_elements() * size_of(plan.tensors[planned.tensor].dtype));
  return bytes;
}

/// Rows of equal length that are copied by one thread.
struct Piece {
  const std::byte* source;
  std::byte* target;
  int64_t num_rows;
  int64_t row_bytes;
  int64_t source_stride;  ///< bytes
};

void cut(const Tensor& box, std::byte* target, std::vector<Piece>& pieces) {
  if (box.is_contiguous()) {
    for (int64_t begin = 0; begin < box.num_bytes(); begin += kPiece)
      pieces.push_back({box.raw() + begin, target + begin, 1, std::min(kPiece, box.num_bytes() - begin), 0});
    return;
  }
  const int64_t row_bytes = box.cols() * size_of(box.dtype());
  const int64_t stride = box.row_stride() * size_of(box.dtype());
  const int64_t step = std::max<int64_t>(1, kPiece / row_bytes);
  for (int64_t row = 0; row < box.rows(); row += step)
    pieces.push_back({box.raw() + row * stride, target + row * row_bytes, std::min(step, box.rows() - row),
                      row_bytes, stride});
}

}  // namespace

void require_memory(int64_t needed, int64_t available, const std::string& host, int num_ranks) {
  if (needed <= available) return;
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  throw DeviceError(fmt::format(
      "the snapshots of {} {} on host {} take {:.3f} GiB of memory, {:.3f} GiB are left; make room, spread "
      "the run over more ranks or hosts, or set checkpoint.async: false, where training waits for every save",
      num_ranks, num_ranks == 1 ? "rank" : "ranks", host, static_cast<double>(needed) / kGiB,
      static_cast<double>(available) / kGiB));
}

Staging::Staging(Context& context, Communicator& group, const SavePlan& plan,
                 const std::vector<std::string>& hosts) {
  const auto self = static_cast<size_t>(group.rank());
  agree(group, [&] {
    const bool speaks = std::find(hosts.begin(), hosts.end(), hosts[self]) - hosts.begin() == group.rank();
    if (!speaks) return std::string();  // the first rank of a host counts for all of them
    int64_t needed = 0;
    int num_ranks = 0;
    for (size_t rank = 0; rank < hosts.size(); ++rank) {
      if (hosts[rank] != hosts[self]) continue;
      needed += bytes_needed(plan, rank);
      ++num_ranks;
    }
    require_memory(needed, available_memory(), hosts[self], num_ranks);
    return std::string();
  });
  agree(group, [&] {
    memory_ = context.allocator.allocate(bytes_needed(plan, self), MemoryCategory::kWorkspace);
    // Touched now: the first snapshot must not wait for the kernel to find pages.
    const int64_t num_pieces = (memory_->size() + kPiece - 1) / kPiece;
#pragma omp parallel for num_threads(context.num_threads) schedule(static)
    for (int64_t piece = 0; piece < num_pieces; ++piece)
      std::memset(memory_->data() + piece * kPiece, 0,
                  static_cast<size_t>(std::min(kPiece, memory_->size() - piece * kPiece)));
    return std::string();
  });
}

std::vector<Tensor> Staging::copy(const Context& context, const std::vector<Tensor>& boxes) const {
  std::vector<Tensor> copies;
  std::vector<Piece> pieces;
  int64_t offset = 0;
  for (const Tensor& box : boxes) {
    copies.push_back(Tensor::view_of(memory_, offset, box.shape(), box.dtype()));
    cut(box, copies.back().raw(), pieces);
    offset += aligned(box.num_bytes());
  }
#pragma omp parallel for num_threads(context.num_threads) schedule(dynamic)
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Piece& piece = pieces[i];
    for (int64_t row = 0; row < piece.num_rows; ++row)
      std::memcpy(piece.target + row * piece.row_bytes, piece.source + row * piece.source_stride,
                  static_cast<size_t>(piece.row_bytes));
  }
  return copies;
}

}  // namespace trireme::checkpoint
