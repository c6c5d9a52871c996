#pragma once

#include <array>
#include <memory>
#include <string>

#include "parallel/comm/progress.h"

namespace trireme::comm {

/// What every transport shares: argument checks, counters, waiting, small control messages. A transport
/// implements `launch`, `make_split` and the rest of Communicator.
class BaseCommunicator : public Communicator {
 public:
  int rank() const final { return site_.rank; }
  int size() const final { return site_.size; }
  const std::string& name() const final { return site_.names->group; }

  std::unique_ptr<Work> all_reduce_async(Tensor tensor, ReduceOp op) final;
  std::unique_ptr<Work> all_gather_async(Tensor input, Tensor output) final;
  std::unique_ptr<Work> reduce_scatter_async(Tensor input, Tensor output, ReduceOp op) final;
  std::unique_ptr<Work> reduce_scatter_slices_async(Tensor tensor, ReduceOp op) final;
  std::unique_ptr<Work> all_gather_slices_async(Tensor tensor) final;
  std::unique_ptr<Work> all_to_all_async(Tensor input, Tensor output) final;
  std::unique_ptr<Work> broadcast_async(Tensor tensor, int root) final;
  std::unique_ptr<Work> send_async(Tensor tensor, int destination, int tag) final;
  std::unique_ptr<Work> receive_async(Tensor tensor, int source, int tag) final;
  void barrier() final;
  std::vector<std::string> gather_bytes(const std::string& bytes) final;
  std::unique_ptr<Communicator> split(int color, int key, const std::string& name) final;

  void progress() final { progress_->advance(); }
  const CommCounters& counters() const final { return *counters_; }
  void set_step(int64_t step) final { site_.step = step; }
  void set_deadline(std::chrono::milliseconds deadline) final { deadline_ = deadline; }

 protected:
  /// `progress` is shared by the groups of one rank.
  BaseCommunicator(std::string group, int rank, int size, std::shared_ptr<Progress> progress);

  /// The state machine of a checked call; null when nothing is left to do.
  virtual std::shared_ptr<Operation> launch(Call&& call) = 0;
  /// The communicator of `members` (ranks of this group, in their new order), of which this rank is one; null
  /// when there are none (kNoColor). Collective over this group.
  virtual std::unique_ptr<BaseCommunicator> make_split(const std::vector<int>& members, int color,
                                                       const std::string& name) = 0;

  [[noreturn]] void fail(const Call& call, const std::string& reason) const;

  CallSite site_;
  std::shared_ptr<Progress> progress_;
  Allocator allocator_;  ///< of control messages

 private:
  using Counter = std::shared_ptr<CommCounters::Entry>;
  std::unique_ptr<Work> begin(Call&& call);
  Counter count(CommCounters::Entry& entry, int64_t bytes);
  std::unique_ptr<Work> start(Call&& call, Counter counter);
  void check(const Call& call) const;

  std::shared_ptr<CommCounters> counters_ = std::make_shared<CommCounters>();  ///< work under way holds them
  std::array<CommCounters::Entry*, kNumCallKinds> counted_{};  ///< entries of counters_ in use
  std::chrono::milliseconds deadline_{600'000};
};

}  // namespace trireme::comm
