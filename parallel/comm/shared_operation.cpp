#include "parallel/comm/shared_operation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/base/error.h"
#include "parallel/comm/reduce_kernel.h"

namespace trireme::comm {

SharedOperation::SharedOperation(Call call, CallSite site, std::shared_ptr<Board> board)
    : Operation(std::move(call), std::move(site)),
      board_(std::move(board)),
      sequence_(++board_->last_sequence) {}

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
  if (!call_.payload().defined()) return;
  const DType dtype = call_.payload().dtype();
  const int64_t element = size_of(dtype);
  const auto size = static_cast<size_t>(site_.size);
  std::vector<std::byte*> sources(size);
  const auto copy = [](std::byte* to, const std::byte* from, int64_t bytes) {
    if (to != from && bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
  };
  switch (call_.kind) {
    case CallKind::kAllReduce:
    case CallKind::kReduceScatterSlices: {
      const Slice slice = slice_of_rank(call_.input.num_elements(), site_.rank, site_.size);
      for (int other = 0; other < site_.size; ++other)
        sources[static_cast<size_t>(other)] = input(other) + slice.begin * element;
      const std::span<std::byte* const> everybody = sources;
      const auto destinations = call_.kind == CallKind::kAllReduce
                                    ? everybody
                                    : everybody.subspan(static_cast<size_t>(site_.rank), 1);
      reduce(dtype, call_.op, sources, destinations, slice.length());
      break;
    }
    case CallKind::kAllGatherSlices:
      for (int other = 0; other < site_.size; ++other) {
        const Slice slice = slice_of_rank(call_.input.num_elements(), other, site_.size);
        copy(output(site_.rank) + slice.begin * element, input(other) + slice.begin * element,
             slice.length() * element);
      }
      break;
    case CallKind::kReduceScatter: {
      const int64_t count = call_.output.num_elements();
      for (int other = 0; other < site_.size; ++other)
        sources[static_cast<size_t>(other)] = input(other) + site_.rank * count * element;
      std::byte* destination = output(site_.rank);
      reduce(dtype, call_.op, sources, {&destination, 1}, count);
      break;
    }
    case CallKind::kAllGather: {
      const int64_t bytes = call_.input.num_bytes();
      for (int other = 0; other < site_.size; ++other)
        copy(output(site_.rank) + other * bytes, input(other), bytes);
      break;
    }
    case CallKind::kAllToAll: {
      const int64_t bytes = call_.input.num_bytes() / site_.size;
      for (int other = 0; other < site_.size; ++other)
        copy(output(site_.rank) + other * bytes, input(other) + site_.rank * bytes, bytes);
      break;
    }
    case CallKind::kBroadcast:
      copy(output(site_.rank), output(call_.peer), call_.output.num_bytes());
      break;
    case CallKind::kSend:
    case CallKind::kReceive:
    case CallKind::kBarrier:
      break;
  }
}

}  // namespace trireme::comm
