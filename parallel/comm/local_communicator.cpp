#include "parallel/comm/local_communicator.h"

#include <cstring>

#include "core/base/error.h"

namespace trireme::comm {
namespace {

/// Nothing is ever under way, so nobody waits.
class NoWaiter final : public Waiter {
 public:
  uint64_t mark() override { return 0; }
  bool pause(uint64_t, Clock::time_point) override { return false; }
  void check() override {}
  void keep(std::vector<std::shared_ptr<Operation>>) override {}
};

}  // namespace

std::shared_ptr<Storage> allocate_zeroed(Context& context, int64_t bytes, MemoryCategory category) {
  std::shared_ptr<Storage> storage = context.allocator.allocate(bytes, category);
  std::memset(storage->data(), 0, static_cast<size_t>(storage->size()));
  return storage;
}

LocalCommunicator::LocalCommunicator(const std::string& name)
    : BaseCommunicator(name, 0, 1, std::make_shared<Progress>(std::make_shared<NoWaiter>())) {}

std::shared_ptr<Operation> LocalCommunicator::launch(Call&& call) {
  if (call.payload().defined() && call.input.raw() != call.output.raw())
    std::memcpy(call.output.raw(), call.input.raw(), static_cast<size_t>(call.input.num_bytes()));
  return nullptr;
}

std::unique_ptr<BaseCommunicator> LocalCommunicator::make_split(const std::vector<int>& members, int,
                                                                const std::string& name) {
  if (members.empty()) return nullptr;
  return std::make_unique<LocalCommunicator>(name);
}

std::shared_ptr<Storage> LocalCommunicator::allocate(Context& context, int64_t bytes,
                                                     MemoryCategory category) {
  return allocate_zeroed(context, bytes, category);
}

void LocalCommunicator::abort(const std::string& reason, int exit_code) {
  throw CommError(reason, static_cast<ExitCode>(exit_code));
}

}  // namespace trireme::comm
