#include "parallel/comm/thread_communicator.h"

#include <fmt/format.h>
#include <omp.h>

#include <cstring>
#include <exception>
#include <thread>

#include "core/base/error.h"
#include "parallel/comm/local_communicator.h"

namespace trireme::comm {
namespace {

class ThreadAddresses final : public AddressSpace {
 public:
  explicit ThreadAddresses(std::shared_ptr<ThreadWorld> world) : world_(std::move(world)) {}
  uint64_t address_of(const Tensor& tensor) const override {
    return reinterpret_cast<uint64_t>(tensor.raw());
  }
  std::byte* resolve(int, uint64_t address) const override { return reinterpret_cast<std::byte*>(address); }
  void announce() override { world_->announce(); }

 private:
  std::shared_ptr<ThreadWorld> world_;
};

class ThreadSend final : public Operation {
 public:
  ThreadSend(Call&& call, const CallSite& site, ThreadWorld& world, ThreadGroup& group)
      : Operation(std::move(call), site), message_(std::make_shared<ThreadMessage>(call_.input)) {
    {
      const std::lock_guard lock(group.mutex);
      group.channels[{site_.rank, call_.peer, call_.tag}].messages.push_back(message_);
    }
    world.announce();
  }
  bool advance() override { return message_->received.load(std::memory_order_acquire); }
  std::vector<int> missing() const override { return {call_.peer}; }

 private:
  std::shared_ptr<ThreadMessage> message_;
};

class ThreadReceive final : public Operation {
 public:
  ThreadReceive(Call&& call, const CallSite& site, std::shared_ptr<ThreadWorld> world,
                std::shared_ptr<ThreadGroup> group)
      : Operation(std::move(call), site), world_(std::move(world)), group_(std::move(group)) {
    const std::lock_guard lock(group_->mutex);
    place_ = group_->channels[route()].num_posted++;
  }

  bool advance() override {
    const std::shared_ptr<ThreadMessage> message = take();
    if (!message) return false;
    const Tensor& sent = message->tensor;
    if (sent.num_elements() != call_.output.num_elements() || sent.dtype() != call_.output.dtype())
      throw CommError(
          fmt::format("{}: {} {} were sent", describe(), sent.num_elements(), trireme::name_of(sent.dtype())),
          ExitCode::kRanksDisagree);
    std::memcpy(call_.output.raw(), sent.raw(), static_cast<size_t>(sent.num_bytes()));
    message->received.store(true, std::memory_order_release);
    world_->announce();
    return true;
  }
  std::vector<int> missing() const override { return {call_.peer}; }

 private:
  std::shared_ptr<ThreadMessage> take() {
    const std::lock_guard lock(group_->mutex);
    ThreadChannel& channel = group_->channels.at(route());
    if (channel.num_taken != place_ || channel.messages.empty()) return nullptr;
    std::shared_ptr<ThreadMessage> message = std::move(channel.messages.front());
    channel.messages.pop_front();
    if (++channel.num_taken == channel.num_posted && channel.messages.empty())
      group_->channels.erase(route());
    return message;
  }
  ThreadGroup::Route route() const { return {call_.peer, site_.rank, call_.tag}; }

  std::shared_ptr<ThreadWorld> world_;
  std::shared_ptr<ThreadGroup> group_;
  int64_t place_ = 0;  ///< among the receives of its channel
};

}  // namespace

ThreadCommunicator::ThreadCommunicator(std::shared_ptr<ThreadWorld> world, std::shared_ptr<ThreadGroup> group,
                                       std::shared_ptr<Progress> progress, const std::string& name, int rank)
    : BaseCommunicator(name, rank, static_cast<int>(group->lines.size()), std::move(progress)),
      world_(std::move(world)),
      group_(std::move(group)),
      board_(new Board, [group = group_](Board* board) { delete board; }) {
  for (BoardLine& line : group_->lines) board_->lines.push_back(&line);
  board_->addresses = std::make_shared<ThreadAddresses>(world_);
}

std::shared_ptr<Operation> ThreadCommunicator::launch(Call&& call) {
  if (call.kind == CallKind::kSend)
    return std::make_shared<ThreadSend>(std::move(call), site_, *world_, *group_);
  if (call.kind == CallKind::kReceive)
    return std::make_shared<ThreadReceive>(std::move(call), site_, world_, group_);
  return std::make_shared<SharedOperation>(std::move(call), site_, board_);
}

std::unique_ptr<BaseCommunicator> ThreadCommunicator::make_split(const std::vector<int>& members, int color,
                                                                 const std::string& name) {
  const int64_t number = num_splits_++;
  if (members.empty()) return nullptr;
  std::shared_ptr<ThreadGroup> child;
  {
    const std::lock_guard lock(group_->mutex);
    std::shared_ptr<ThreadGroup>& slot = group_->splits[{number, color}];
    if (!slot) slot = std::make_shared<ThreadGroup>(static_cast<int>(members.size()));
    child = slot;
  }
  int place = 0;
  while (members[static_cast<size_t>(place)] != rank()) ++place;
  return std::make_unique<ThreadCommunicator>(world_, child, progress_, name, place);
}

std::shared_ptr<Storage> ThreadCommunicator::allocate(Context& context, int64_t bytes,
                                                      MemoryCategory category) {
  return allocate_zeroed(context, bytes, category);
}

void ThreadCommunicator::abort(const std::string& reason, int exit_code) {
  world_->abort(fmt::format("rank {} gave up: {}", rank(), reason), exit_code);
}

void run_thread_ranks(int num_ranks, const std::function<void(Communicator& world)>& body, int num_threads) {
  const auto world = std::make_shared<ThreadWorld>();
  const auto group = std::make_shared<ThreadGroup>(num_ranks);
  std::mutex mutex;
  std::exception_ptr first;
  const auto give_up = [&](int rank, const std::string& reason, int exit_code) {
    {
      const std::lock_guard lock(mutex);
      if (!first) first = std::current_exception();
    }
    world->abort(fmt::format("rank {} failed: {}", rank, reason), exit_code);
  };
  const auto run_rank = [&](int rank) {
    omp_set_num_threads(num_threads);
    try {
      ThreadCommunicator communicator(world, group, std::make_shared<Progress>(world), "world", rank);
      body(communicator);
    } catch (const Error& error) {
      give_up(rank, error.what(), static_cast<int>(error.exit_code()));
    } catch (const std::exception& error) {
      give_up(rank, error.what(), static_cast<int>(ExitCode::kInternal));
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < num_ranks; ++rank) threads.emplace_back(run_rank, rank);
  for (std::thread& thread : threads) thread.join();
  world->clear();
  if (first) std::rethrow_exception(first);
}

}  // namespace trireme::comm
