#include "parallel/comm/base_communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>

#include "core/base/error.h"
#include "core/base/host.h"
#include "core/base/log.h"

namespace trireme::comm {
namespace {

class OperationWork final : public Work {
 public:
  OperationWork(std::shared_ptr<Progress> progress, std::shared_ptr<Operation> operation,
                std::chrono::milliseconds deadline, std::shared_ptr<CommCounters::Entry> counter)
      : progress_(std::move(progress)),
        operation_(std::move(operation)),
        deadline_(deadline),
        counter_(std::move(counter)) {}

  /// While an exception unwinds the stack nobody waits: the progress list keeps the operation's tensors.
  ~OperationWork() override {
    if (std::uncaught_exceptions() > 0) return;
    try {
      wait();
    } catch (const std::exception& error) {
      log::error("{}", error.what());
    }
  }

  bool test() override {
    if (operation_ == nullptr) return true;
    progress_->advance();
    if (!progress_->done(*operation_)) return false;
    operation_.reset();
    return true;
  }

  void wait() override {
    if (operation_ == nullptr) return;
    const std::shared_ptr<Operation> operation = std::move(operation_);
    const auto start = std::chrono::steady_clock::now();
    progress_->wait(*operation, deadline_);
    counter_->wait_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  std::shared_ptr<Progress> progress_;
  std::shared_ptr<Operation> operation_;
  std::chrono::milliseconds deadline_;
  std::shared_ptr<CommCounters::Entry> counter_;
};

}  // namespace

BaseCommunicator::BaseCommunicator(std::string group, int rank, int size, std::shared_ptr<Progress> progress)
    : progress_(std::move(progress)) {
  site_.names = std::make_shared<CallSite::Names>(CallSite::Names{std::move(group), host_name()});
  site_.rank = rank;
  site_.size = size;
}

void BaseCommunicator::fail(const Call& call, const std::string& reason) const {
  throw CommError(site_.describe(call) + ": " + reason);
}

void BaseCommunicator::check(const Call& call) const {
  for (const Tensor* tensor : {&call.input, &call.output})
    if (tensor->defined() && !tensor->is_contiguous())
      fail(call, "the tensor has padded or strided rows; a contiguous one is needed");
  if (call.input.defined() && call.output.defined() && call.input.dtype() != call.output.dtype())
    fail(call, fmt::format("the input is {}, the output {}; one type is needed",
                           trireme::name_of(call.input.dtype()), trireme::name_of(call.output.dtype())));
  const auto expect_output = [&](int64_t expected) {
    if (call.output.num_elements() != expected)
      fail(call, fmt::format("the output has {} elements, {} are needed for {} ranks",
                             call.output.num_elements(), expected, size()));
  };
  switch (call.kind) {
    case CallKind::kAllGather:
      expect_output(call.input.num_elements() * size());
      break;
    case CallKind::kReduceScatter:
      if (call.input.num_elements() % size() != 0)
        fail(call, fmt::format("{} elements do not divide over {} ranks", call.input.num_elements(), size()));
      expect_output(call.input.num_elements() / size());
      break;
    case CallKind::kAllToAll:
      if (call.input.num_elements() % size() != 0)
        fail(call, fmt::format("{} elements do not divide over {} ranks", call.input.num_elements(), size()));
      expect_output(call.input.num_elements());
      if (call.input.num_bytes() > 0 && call.input.raw() == call.output.raw())
        fail(call, "input and output must not overlap");
      break;
    case CallKind::kBroadcast:
      if (call.peer < 0 || call.peer >= size())
        fail(call, fmt::format("the root must be in [0, {})", size()));
      break;
    case CallKind::kSend:
    case CallKind::kReceive:
      if (call.peer < 0 || call.peer >= size() || call.peer == rank())
        fail(call, fmt::format("the other rank must be in [0, {}) and not this one", size()));
      if (call.tag < 0 || call.tag >= 16384) fail(call, "the tag must be in [0, 16384)");
      break;
    case CallKind::kAllReduce:
    case CallKind::kReduceScatterSlices:
    case CallKind::kAllGatherSlices:
    case CallKind::kBarrier:
      break;
  }
}

std::unique_ptr<Work> BaseCommunicator::begin(Call&& call) {
  CommCounters::Entry*& entry = counted_[static_cast<size_t>(call.kind)];
  if (entry == nullptr) entry = &counters_->entries[name_of(call.kind)];
  Counter counter = count(*entry, call.payload().num_bytes());
  return start(std::move(call), std::move(counter));
}

BaseCommunicator::Counter BaseCommunicator::count(CommCounters::Entry& entry, int64_t bytes) {
  ++entry.calls;
  entry.bytes += bytes;
  return {counters_, &entry};
}

std::unique_ptr<Work> BaseCommunicator::start(Call&& call, Counter counter) {
  ++site_.sequence;
  check(call);
  std::shared_ptr<Operation> operation = launch(std::move(call));
  if (operation) progress_->start(operation);
  return std::make_unique<OperationWork>(progress_, std::move(operation), deadline_, std::move(counter));
}

std::unique_ptr<Work> BaseCommunicator::all_reduce_async(Tensor tensor, ReduceOp op) {
  return begin({CallKind::kAllReduce, tensor, tensor, op});
}
std::unique_ptr<Work> BaseCommunicator::all_gather_async(Tensor input, Tensor output) {
  return begin({CallKind::kAllGather, std::move(input), std::move(output)});
}
std::unique_ptr<Work> BaseCommunicator::reduce_scatter_async(Tensor input, Tensor output, ReduceOp op) {
  return begin({CallKind::kReduceScatter, std::move(input), std::move(output), op});
}
std::unique_ptr<Work> BaseCommunicator::reduce_scatter_slices_async(Tensor tensor, ReduceOp op) {
  return begin({CallKind::kReduceScatterSlices, tensor, tensor, op});
}
std::unique_ptr<Work> BaseCommunicator::all_gather_slices_async(Tensor tensor) {
  return begin({CallKind::kAllGatherSlices, tensor, tensor});
}
std::unique_ptr<Work> BaseCommunicator::all_to_all_async(Tensor input, Tensor output) {
  return begin({CallKind::kAllToAll, std::move(input), std::move(output)});
}
std::unique_ptr<Work> BaseCommunicator::broadcast_async(Tensor tensor, int root) {
  return begin({CallKind::kBroadcast, tensor, tensor, ReduceOp::kSum, root});
}
std::unique_ptr<Work> BaseCommunicator::send_async(Tensor tensor, int destination, int tag) {
  return begin({CallKind::kSend, std::move(tensor), {}, ReduceOp::kSum, destination, tag});
}
std::unique_ptr<Work> BaseCommunicator::receive_async(Tensor tensor, int source, int tag) {
  return begin({CallKind::kReceive, {}, std::move(tensor), ReduceOp::kSum, source, tag});
}
void BaseCommunicator::barrier() {
  begin({CallKind::kBarrier, {}, {}})->wait();
}

std::vector<std::string> BaseCommunicator::gather_bytes(const std::string& bytes) {
  const Counter counter = count(counters_->entries["gather_bytes"], static_cast<int64_t>(bytes.size()));
  const auto make = [&](int64_t count, DType dtype) {
    return Tensor::allocate(allocator_, {count}, dtype, MemoryCategory::kWorkspace);
  };
  Tensor length = make(1, DType::kInt64), lengths = make(size(), DType::kInt64);
  *length.data<int64_t>() = static_cast<int64_t>(bytes.size());
  start({CallKind::kAllGather, length, lengths}, counter)->wait();
  const int64_t* first = lengths.data<int64_t>();
  const int64_t longest = *std::max_element(first, first + size());
  Tensor mine = make(longest, DType::kUInt8), all = make(longest * size(), DType::kUInt8);
  std::memset(mine.raw(), 0, static_cast<size_t>(longest));
  std::memcpy(mine.raw(), bytes.data(), bytes.size());
  start({CallKind::kAllGather, mine, all}, counter)->wait();
  std::vector<std::string> result;
  for (int i = 0; i < size(); ++i)
    result.emplace_back(reinterpret_cast<const char*>(all.raw()) + i * longest, first[i]);
  return result;
}

std::unique_ptr<Communicator> BaseCommunicator::split(int color, int key, const std::string& name) {
  if (color < kNoColor)
    throw CommError(
        fmt::format("rank {} of {} in group '{}': split into '{}' with color {}; colors are >= 0, or {} for "
                    "a rank that belongs to no group",
                    rank(), size(), this->name(), name, color, kNoColor));
  const std::vector<std::string> given = gather_bytes(fmt::format("{} {}", color, key));
  std::vector<std::pair<int, int>> keyed;  // key, rank
  for (int other = 0; other < size(); ++other) {
    int other_color = 0, other_key = 0;
    std::sscanf(given[static_cast<size_t>(other)].c_str(), "%d %d", &other_color, &other_key);
    if (other_color == color && color != kNoColor) keyed.emplace_back(other_key, other);
  }
  std::sort(keyed.begin(), keyed.end());
  std::vector<int> members;
  for (const auto& entry : keyed) members.push_back(entry.second);
  std::unique_ptr<BaseCommunicator> child = make_split(members, color, name);
  if (child == nullptr) return nullptr;
  child->set_deadline(deadline_);
  child->set_step(site_.step);
  return child;
}

}  // namespace trireme::comm
