#pragma once

#include <deque>

#include "parallel/comm/mpi_transfers.h"
#include "parallel/comm/operation.h"

namespace trireme::comm {

/// Messages that need nothing in between: send, receive, all_gather, all_gather_slices, all_to_all, barrier.
class MpiDirect final : public Operation {
 public:
  MpiDirect(Call&& call, const CallSite& site, MPI_Comm communicator, int tag);
  bool advance() override { return transfers_.test(); }
  std::vector<int> missing() const override { return transfers_.missing(); }

 private:
  void exchange(int tag);

  MpiTransfers transfers_;
};

/// Broadcast down a binomial tree.
class MpiBroadcast final : public Operation {
 public:
  MpiBroadcast(Call&& call, const CallSite& site, MPI_Comm communicator, int tag);
  bool advance() override;
  std::vector<int> missing() const override { return transfers_.missing(); }

 private:
  int peer_of(int relative) const { return (relative + call_.peer) % site_.size; }
  void send_to_children();

  MpiTransfers transfers_;
  int relative_;  ///< rank counted from the root
  int tag_;
  bool forwarded_ = false;
};

/// all_reduce, reduce_scatter and reduce_scatter_slices: every rank receives the others' contributions to its
/// own slice, reduces them in rank order and (all_reduce) sends the result back. Large tensors go through in
/// pieces, several under way, so that the extra memory is small and a piece is reduced while others travel.
class MpiReduce final : public Operation {
 public:
  MpiReduce(Call&& call, const CallSite& site, MPI_Comm communicator, int tag, Allocator& allocator);
  bool advance() override;
  std::vector<int> missing() const override;

 private:
  struct Piece {
    int64_t index;
    Tensor received;  ///< [size, piece bytes]; the own row is not used
    MpiTransfers transfers;
    bool returning = false;
  };
  Slice part(int rank, int64_t piece) const;  ///< what the rank reduces of a piece, in elements of the input
  std::byte* at(int64_t element) const;
  void start_piece();
  void reduce_piece(Piece& piece);

  MPI_Comm communicator_;
  int tag_;
  Allocator& allocator_;
  int64_t element_;  ///< bytes
  int64_t num_pieces_ = 0;
  int64_t next_piece_ = 0;
  std::deque<Piece> pieces_;
};

}  // namespace trireme::comm
