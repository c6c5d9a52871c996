#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "parallel/comm/operation.h"

namespace trireme::comm {

/// What one rank announces about one operation.
struct SharedCall {
  CallKind kind;
  int32_t op, dtype, peer;
  int64_t count;           ///< of the payload
  uint64_t input, output;  ///< where, in terms of AddressSpace
};

/// A rank's line on the board: only its owner writes to it. Zeroed memory is a fresh line.
struct alignas(64) BoardLine {
  static constexpr int64_t kNumSlots = 64;  ///< operations that may be under way before a rank waits to post
  std::atomic<int64_t> posted;              ///< operations whose tensors are ready
  alignas(64) std::atomic<int64_t> finished;  ///< operations whose part this rank has done
  alignas(64) SharedCall calls[kNumSlots];
};

/// How ranks that see one memory find each other's tensors.
class AddressSpace {
 public:
  virtual ~AddressSpace() = default;
  virtual uint64_t address_of(const Tensor& tensor) const = 0;
  virtual std::byte* resolve(int rank, uint64_t address) const = 0;
  /// Called after this rank has changed its line.
  virtual void announce() = 0;
};

/// The board of a group: every rank's line, and the sequence number of this rank's next operation.
struct Board {
  std::vector<BoardLine*> lines;
  std::shared_ptr<AddressSpace> addresses;
  int64_t last_sequence = 0;
};

/// A collective over shared memory. Operations of one board are numbered; a rank posts its tensors, waits
/// until every rank has posted the same number, does its own part (reduces its slice over all ranks in rank
/// order and writes it to all of them, or copies what it needs), says so, and is done when all have. Nobody
/// else's help is needed to move along, and counters that only grow make reuse safe.
class SharedOperation final : public Operation {
 public:
  SharedOperation(Call&& call, const CallSite& site, std::shared_ptr<Board> board);
  bool advance() override;
  std::vector<int> missing() const override;

 private:
  enum class State { kWaitingForSlot, kPosted, kFinished };
  bool all_posted() const;
  bool all_finished(int64_t sequence) const;
  void post();
  void compare_calls() const;
  void do_part();
  void reduce_part();  ///< of this rank's slice
  void copy_part();    ///< into this rank's output
  const SharedCall& announced(int rank) const;
  std::byte* input(int rank) const;
  std::byte* output(int rank) const;

  std::shared_ptr<Board> board_;
  int64_t sequence_;
  State state_ = State::kWaitingForSlot;
};

}  // namespace trireme::comm
