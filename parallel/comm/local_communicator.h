#pragma once

#include "parallel/comm/base_communicator.h"

namespace trireme::comm {

/// The group of one rank: every collective is a copy or nothing.
class LocalCommunicator final : public BaseCommunicator {
 public:
  explicit LocalCommunicator(const std::string& name = "world");

  std::shared_ptr<Storage> allocate(Context& context, int64_t bytes, MemoryCategory category) override;
  /// Throws CommError: there is nobody else to tell.
  void abort(const std::string& reason, int exit_code) override;

 private:
  std::shared_ptr<Operation> launch(Call&& call) override;
  std::unique_ptr<BaseCommunicator> make_split(const std::vector<int>& members, int color,
                                               const std::string& name) override;
};

/// Memory of the context's allocator, zeroed: `allocate` where nothing is shared.
std::shared_ptr<Storage> allocate_zeroed(Context& context, int64_t bytes, MemoryCategory category);

}  // namespace trireme::comm
