#include "parallel/comm/mpi_communicator.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <exception>
#include <map>

#include "core/base/log.h"
#include "parallel/comm/base_communicator.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/comm/mpi_check.h"
#include "parallel/comm/mpi_operations.h"
#include "parallel/comm/shared_memory.h"
#include "parallel/comm/shared_operation.h"

namespace trireme::comm {
namespace {

constexpr int kCollectiveTags = 16384;  // tags of send and receive lie below
constexpr int kNumCollectiveTags = 8192;

class PollingWaiter final : public Waiter {
 public:
  uint64_t mark() override { return 0; }
  /// A small message of one host arrives within a few polls; giving the core away costs more.
  bool pause(uint64_t, Clock::time_point until) override {
    if (++num_polls_ % 64 != 0) return true;
    sched_yield();
    return Clock::now() < until;
  }
  void check() override {}
  void keep(std::vector<std::shared_ptr<Operation>>) override {}  // requests are taken back as they end

 private:
  uint64_t num_polls_ = 0;
};

/// Owns a communicator of MPI.
class MpiGroup {
 public:
  explicit MpiGroup(MPI_Comm communicator) : communicator_(communicator) {
    TRIREME_MPI(MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN));
  }
  ~MpiGroup() {
    if (std::uncaught_exceptions() == 0) MPI_Comm_free(&communicator_);
  }
  MpiGroup(const MpiGroup&) = delete;
  MpiGroup& operator=(const MpiGroup&) = delete;
  MPI_Comm get() const { return communicator_; }
  int rank() const {
    int rank = 0;
    TRIREME_MPI(MPI_Comm_rank(communicator_, &rank));
    return rank;
  }
  int size() const {
    int size = 0;
    TRIREME_MPI(MPI_Comm_size(communicator_, &size));
    return size;
  }

 private:
  MPI_Comm communicator_;
};

/// The shared blocks of a group by number. An address is (number, offset), the same arithmetic on every rank.
class SharedWindows final : public AddressSpace {
 public:
  explicit SharedWindows(int rank) : rank_(rank) {}

  void add(const std::shared_ptr<SharedBlocks>& blocks) {
    std::erase_if(windows_, [](const auto& entry) { return entry.second.expired(); });
    windows_[next_number_++] = blocks;
  }
  bool contains(const Tensor& tensor) const { return address_of(tensor) != kNowhere; }

  uint64_t address_of(const Tensor& tensor) const override {
    for (const auto& [number, weak] : windows_) {
      const std::shared_ptr<SharedBlocks> blocks = weak.lock();
      if (!blocks) continue;
      const std::ptrdiff_t offset = tensor.raw() - blocks->data(rank_);
      if (offset >= 0 && offset < blocks->blocks[static_cast<size_t>(rank_)]->size())
        return number << kOffsetBits | static_cast<uint64_t>(offset);
    }
    return kNowhere;
  }
  std::byte* resolve(int rank, uint64_t address) const override {
    const auto found = windows_.find(address >> kOffsetBits);
    const std::shared_ptr<SharedBlocks> blocks = found == windows_.end() ? nullptr : found->second.lock();
    if (!blocks)
      throw CommError(fmt::format("rank {} uses shared memory that this rank has already freed", rank));
    return blocks->data(rank) + (address & ((uint64_t{1} << kOffsetBits) - 1));
  }
  void announce() override {}

 private:
  static constexpr int kOffsetBits = 44;
  static constexpr uint64_t kNowhere = ~uint64_t{0};
  int rank_;
  uint64_t next_number_ = 0;
  std::map<uint64_t, std::weak_ptr<SharedBlocks>> windows_;
};

class MpiCommunicator final : public BaseCommunicator {
 public:
  MpiCommunicator(MPI_Comm communicator, const std::string& name, std::shared_ptr<Progress> progress,
                  MpiOptions options)
      : MpiCommunicator(std::make_unique<MpiGroup>(communicator), name, std::move(progress), options) {}

  std::shared_ptr<Storage> allocate(Context& context, int64_t bytes, MemoryCategory category) override {
    const std::shared_ptr<SharedBlocks> blocks = board_ ? SharedBlocks::make(*this, bytes) : nullptr;
    if (!blocks) return allocate_zeroed(context, bytes, category);
    windows_->add(blocks);
    return context.allocator.adopt(blocks, blocks->data(rank()), bytes, category);
  }

  void abort(const std::string& reason, int exit_code) override {
    log::error("rank {} of group '{}' (host {}) stops the run: {}", rank(), name(), site_.names->host,
               reason);
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::_Exit(exit_code);
  }

 private:
  MpiCommunicator(std::unique_ptr<MpiGroup> group, const std::string& name,
                  std::shared_ptr<Progress> progress, MpiOptions options)
      : BaseCommunicator(name, group->rank(), group->size(), std::move(progress)),
        group_(std::move(group)),
        options_(options) {
    if (!options_.shared_memory || size() == 1) return;
    const auto blocks = SharedBlocks::make(*this, sizeof(BoardLine));
    if (!blocks) return;
    windows_ = std::make_shared<SharedWindows>(rank());
    board_ = std::shared_ptr<Board>(new Board, [blocks](Board* board) { delete board; });
    board_->addresses = windows_;
    for (int other = 0; other < size(); ++other)
      board_->lines.push_back(reinterpret_cast<BoardLine*>(blocks->data(other)));
  }

  std::shared_ptr<Operation> launch(Call&& call) override {
    if (call.kind == CallKind::kSend || call.kind == CallKind::kReceive)
      return std::make_shared<MpiDirect>(std::move(call), site_, group_->get(), call.tag);
    if (board_ && (call.kind == CallKind::kBarrier ||
                   (windows_->contains(call.input) && windows_->contains(call.output))))
      return std::make_shared<SharedOperation>(std::move(call), site_, board_);
    const int tag = kCollectiveTags + 2 * static_cast<int>(num_collectives_++ % kNumCollectiveTags);
    switch (call.kind) {
      case CallKind::kAllReduce:
      case CallKind::kReduceScatter:
      case CallKind::kReduceScatterSlices:
        return std::make_shared<MpiReduce>(std::move(call), site_, group_->get(), tag, allocator_);
      case CallKind::kBroadcast:
        return std::make_shared<MpiBroadcast>(std::move(call), site_, group_->get(), tag);
      default:
        return std::make_shared<MpiDirect>(std::move(call), site_, group_->get(), tag);
    }
  }

  std::unique_ptr<BaseCommunicator> make_split(const std::vector<int>& members, int color,
                                               const std::string& name) override {
    const auto place = std::find(members.begin(), members.end(), rank()) - members.begin();
    MPI_Comm child = MPI_COMM_NULL;
    TRIREME_MPI(MPI_Comm_split(group_->get(), color == kNoColor ? MPI_UNDEFINED : color,
                               static_cast<int>(place), &child));
    if (child == MPI_COMM_NULL) return nullptr;
    return std::make_unique<MpiCommunicator>(child, name, progress_, options_);
  }

  std::unique_ptr<MpiGroup> group_;
  MpiOptions options_;
  std::shared_ptr<SharedWindows> windows_;  ///< null where the ranks do not share one memory
  std::shared_ptr<Board> board_;
  int64_t num_collectives_ = 0;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_world(MpiOptions options) {
  MPI_Comm world = MPI_COMM_NULL;
  TRIREME_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &world));
  return std::make_unique<MpiCommunicator>(
      world, "world", std::make_shared<Progress>(std::make_shared<PollingWaiter>()), options);
}

}  // namespace trireme::comm
