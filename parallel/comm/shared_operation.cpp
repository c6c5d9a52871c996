#include "parallel/comm/shared_operation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/base/error.h"
#include "parallel/comm/reduce_kernel.h"

namespace trireme::comm {

SharedOperation::SharedOperation(Call&& call, const CallSite& site, std::shared_ptr<Board> board)
    : Operation(std::move(call), site), board_(std::move(board)), sequence_(++board_->last_sequence) {}

bool SharedOperation::all_posted() const {
  return std::all_of(board_->lines.begin(), board_->lines.end(), [&](const BoardLine* line) {
    return line->posted.load(std::memory_order_acquire) >= sequence_;
  });
}

bool SharedOperation::all_finished(int64_t sequence) const {
  return std::all_of(board_->lines.begin(), board_->lines.end(), [&](const BoardLine* line) {
    return line->finished.load(std::memory_order_acquire) >= sequence;
  });
}

const SharedCall& SharedOperation::announced(int rank) const {
  return board_->lines[static_cast<size_t>(rank)]->calls[sequence_ % BoardLine::kNumSlots];
}

std::byte* SharedOperation::input(int rank) const {
  return board_->addresses->resolve(rank, announced(rank).input);
}

std::byte* SharedOperation::output(int rank) const {
  return board_->addresses->resolve(rank, announced(rank).output);
}

void SharedOperation::post() {
  BoardLine& line = *board_->lines[static_cast<size_t>(site_.rank)];
  SharedCall& slot = line.calls[sequence_ % BoardLine::kNumSlots];
  slot = {call_.kind, static_cast<int32_t>(call_.op), 0, call_.peer, 0, 0, 0};
  if (call_.payload().defined()) {
    slot.dtype = static_cast<int32_t>(call_.payload().dtype());
    slot.count = call_.payload().num_elements();
    slot.input = board_->addresses->address_of(call_.input);
    slot.output = board_->addresses->address_of(call_.output);
  }
  line.posted.store(sequence_, std::memory_order_release);
  board_->addresses->announce();
}

bool SharedOperation::advance() {
  BoardLine& line = *board_->lines[static_cast<size_t>(site_.rank)];
  if (state_ == State::kWaitingForSlot) {
    if (line.posted.load(std::memory_order_relaxed) != sequence_ - 1) return false;
    if (!all_finished(sequence_ - BoardLine::kNumSlots)) return false;
    post();
    state_ = State::kPosted;
  }
  if (state_ == State::kPosted) {
    // In turn: the others may have posted this one since the previous operation was looked at.
    if (line.finished.load(std::memory_order_relaxed) != sequence_ - 1 || !all_posted()) return false;
    compare_calls();
    do_part();
    line.finished.store(sequence_, std::memory_order_release);
    board_->addresses->announce();
    state_ = State::kFinished;
  }
  return all_finished(sequence_);
}

std::vector<int> SharedOperation::missing() const {
  const bool posted = all_posted();
  std::vector<int> ranks;
  for (size_t i = 0; i < board_->lines.size(); ++i) {
    const auto& counter = posted ? board_->lines[i]->finished : board_->lines[i]->posted;
    if (counter.load(std::memory_order_acquire) < sequence_) ranks.push_back(static_cast<int>(i));
  }
  return ranks;
}

void SharedOperation::compare_calls() const {
  const SharedCall& mine = announced(site_.rank);
  for (int other = 0; other < site_.size; ++other) {
    const SharedCall& theirs = announced(other);
    if (theirs.kind == mine.kind && theirs.op == mine.op && theirs.dtype == mine.dtype &&
        theirs.peer == mine.peer && theirs.count == mine.count)
      continue;
    throw CommError(
        fmt::format("{}: rank {} called {} of {} {} instead; every rank of a group must make the same calls "
                    "in the same order",
                    describe(), other, name_of(theirs.kind), theirs.count,
                    trireme::name_of(static_cast<DType>(theirs.dtype))),
        ExitCode::kRanksDisagree);
  }
}

void SharedOperation::do_part() {
  switch (call_.kind) {
    case CallKind::kAllReduce:
    case CallKind::kReduceScatter:
    case CallKind::kReduceScatterSlices:
      return reduce_part();
    case CallKind::kAllGather:
    case CallKind::kAllGatherSlices:
    case CallKind::kAllToAll:
    case CallKind::kBroadcast:
      return copy_part();
    case CallKind::kBarrier:
    case CallKind::kSend:
    case CallKind::kReceive:
      return;
  }
}

void SharedOperation::reduce_part() {
  const Slice slice = slice_reduced(call_, site_.rank, site_.size);
  const int64_t offset = slice.begin * size_of(call_.input.dtype());
  std::vector<std::byte*> sources;
  for (int other = 0; other < site_.size; ++other) sources.push_back(input(other) + offset);
  std::vector<std::byte*> destinations = sources;
  if (call_.kind == CallKind::kReduceScatter) destinations = {output(site_.rank)};
  if (call_.kind == CallKind::kReduceScatterSlices) destinations = {output(site_.rank) + offset};
  reduce(call_.input.dtype(), call_.op, sources, destinations, slice.length());
}

void SharedOperation::copy_part() {
  for (int other = 0; other < site_.size; ++other) {
    const Slice taken = bytes_taken(call_, other, site_.size);
    std::byte* to = output(site_.rank) + taken.begin;
    const std::byte* from = input(other) + bytes_given(call_, other, site_.rank, site_.size).begin;
    if (to != from && taken.length() > 0) std::memcpy(to, from, static_cast<size_t>(taken.length()));
  }
}

}  // namespace trireme::comm
