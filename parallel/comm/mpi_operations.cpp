#include "parallel/comm/mpi_operations.h"

#include <algorithm>
#include <cstring>

#include "parallel/comm/reduce_kernel.h"

namespace trireme::comm {
namespace {

constexpr int64_t kPieceBytes = int64_t{1} << 20;
constexpr int64_t kPiecesUnderWay = 4;

}  // namespace

MpiDirect::MpiDirect(Call&& call, const CallSite& site, MPI_Comm communicator, int tag)
    : Operation(std::move(call), site), transfers_(communicator) {
  if (call_.kind == CallKind::kSend) {
    transfers_.send(call_.input.raw(), call_.input.num_bytes(), call_.peer, tag);
    return;
  }
  if (call_.kind == CallKind::kReceive) {
    transfers_.receive(call_.output.raw(), call_.output.num_bytes(), call_.peer, tag);
    return;
  }
  exchange(tag);
}

void MpiDirect::exchange(int tag) {
  const int rank = site_.rank;
  for (int peer = 0; peer < site_.size; ++peer) {
    if (peer == rank) continue;
    const Slice taken = bytes_taken(call_, peer, site_.size),
                given = bytes_given(call_, rank, peer, site_.size);
    transfers_.receive(call_.output.raw() + taken.begin, taken.length(), peer, tag);
    transfers_.send(call_.input.raw() + given.begin, given.length(), peer, tag);
  }
  const Slice taken = bytes_taken(call_, rank, site_.size),
              given = bytes_given(call_, rank, rank, site_.size);
  std::byte* to = call_.output.raw() + taken.begin;
  const std::byte* from = call_.input.raw() + given.begin;
  if (taken.length() > 0 && to != from) std::memcpy(to, from, static_cast<size_t>(taken.length()));
}

MpiBroadcast::MpiBroadcast(Call&& call, const CallSite& site, MPI_Comm communicator, int tag)
    : Operation(std::move(call), site),
      transfers_(communicator),
      relative_((site_.rank - call_.peer + site_.size) % site_.size),
      tag_(tag) {
  // The parent of a rank lacks its lowest set bit.
  if (relative_ != 0)
    transfers_.receive(call_.output.raw(), call_.output.num_bytes(), peer_of(relative_ & (relative_ - 1)),
                       tag_);
}

void MpiBroadcast::send_to_children() {
  for (int bit = 1; relative_ + bit < site_.size && (relative_ & bit) == 0; bit *= 2)
    transfers_.send(call_.output.raw(), call_.output.num_bytes(), peer_of(relative_ + bit), tag_);
}

bool MpiBroadcast::advance() {
  if (!transfers_.test()) return false;
  if (forwarded_) return true;
  forwarded_ = true;
  send_to_children();
  return transfers_.test();
}

MpiReduce::MpiReduce(Call&& call, const CallSite& site, MPI_Comm communicator, int tag, Allocator& allocator)
    : Operation(std::move(call), site),
      communicator_(communicator),
      tag_(tag),
      allocator_(allocator),
      element_(size_of(call_.input.dtype())) {
  int64_t longest = 0;
  for (int rank = 0; rank < site_.size; ++rank)
    longest = std::max(longest, slice_reduced(call_, rank, site_.size).length());
  const int64_t per_piece = kPieceBytes / element_;
  num_pieces_ = (longest + per_piece - 1) / per_piece;
}

Slice MpiReduce::part(int rank, int64_t piece) const {
  const Slice whole = slice_reduced(call_, rank, site_.size);
  const int64_t per_piece = kPieceBytes / element_;
  return {std::min(whole.end, whole.begin + piece * per_piece),
          std::min(whole.end, whole.begin + (piece + 1) * per_piece)};
}

std::byte* MpiReduce::at(int64_t element) const {
  return call_.input.raw() + element * element_;
}

void MpiReduce::start_piece() {
  const int64_t index = next_piece_++;
  const Slice mine = part(site_.rank, index);
  const int64_t bytes = mine.length() * element_;
  Piece piece{index,
              Tensor::allocate(allocator_, {site_.size, bytes}, DType::kUInt8, MemoryCategory::kWorkspace),
              MpiTransfers(communicator_)};
  for (int peer = 0; peer < site_.size; ++peer) {
    if (peer == site_.rank) continue;
    if (bytes > 0) piece.transfers.receive(piece.received.raw() + peer * bytes, bytes, peer, tag_);
    const Slice theirs = part(peer, index);
    if (theirs.length() > 0) piece.transfers.send(at(theirs.begin), theirs.length() * element_, peer, tag_);
  }
  pieces_.push_back(std::move(piece));
}

void MpiReduce::reduce_piece(Piece& piece) {
  const Slice mine = part(site_.rank, piece.index);
  const int64_t bytes = mine.length() * element_;
  std::vector<std::byte*> sources(static_cast<size_t>(site_.size));
  for (int peer = 0; peer < site_.size; ++peer)
    sources[static_cast<size_t>(peer)] =
        peer == site_.rank ? at(mine.begin) : piece.received.raw() + peer * bytes;
  std::byte* destination =
      call_.kind == CallKind::kReduceScatter
          ? call_.output.raw() + mine.begin * element_ - site_.rank * call_.output.num_bytes()
          : at(mine.begin);
  reduce(call_.input.dtype(), call_.op, sources, {&destination, 1}, mine.length());
  piece.returning = true;
  if (call_.kind != CallKind::kAllReduce) return;
  for (int peer = 0; peer < site_.size; ++peer) {
    if (peer == site_.rank) continue;
    const Slice theirs = part(peer, piece.index);
    if (theirs.length() > 0)
      piece.transfers.receive(at(theirs.begin), theirs.length() * element_, peer, tag_ + 1);
    if (bytes > 0) piece.transfers.send(destination, bytes, peer, tag_ + 1);
  }
}

bool MpiReduce::advance() {
  while (true) {
    while (next_piece_ < num_pieces_ && static_cast<int64_t>(pieces_.size()) < kPiecesUnderWay) start_piece();
    // In order: messages of one tag must be posted in the same order on both sides.
    bool earlier_reduced = true;
    for (Piece& piece : pieces_) {
      if (!piece.transfers.test()) {
        earlier_reduced = earlier_reduced && piece.returning;
        continue;
      }
      if (!piece.returning && earlier_reduced) reduce_piece(piece);
      earlier_reduced = earlier_reduced && piece.returning;
    }
    if (pieces_.empty() || !pieces_.front().returning || !pieces_.front().transfers.test()) break;
    pieces_.pop_front();
  }
  return pieces_.empty() && next_piece_ == num_pieces_;
}

std::vector<int> MpiReduce::missing() const {
  return pieces_.empty() ? std::vector<int>{} : pieces_.front().transfers.missing();
}

}  // namespace trireme::comm
