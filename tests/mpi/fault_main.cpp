#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>

#include "core/base/error.h"
#include "parallel/comm/mpi_runtime.h"

/// mpi_fault late|killed shared|messages: rank 1 sleeps, or kills itself, while the others wait for it in an
/// all_reduce with a deadline of one second. The ctest reads what they print.
int main(int argc, char** argv) {
  using namespace trireme;
  if (argc != 3) return 64;
  const std::string fault = argv[1];
  comm::MpiRuntime runtime;
  const auto world = runtime.world({.shared_memory = std::string(argv[2]) == "shared"});
  Context context;
  Tensor tensor =
      Tensor::view_of(world->allocate(context, 4000, MemoryCategory::kGradients), 0, {1000}, DType::kFloat32);
  world->set_deadline(std::chrono::seconds(1));
  world->set_step(41);
  world->barrier();
  if (world->rank() == 1) {
    if (fault == "killed") std::raise(SIGKILL);
    std::this_thread::sleep_for(std::chrono::seconds(60));
  }
  try {
    world->all_reduce(tensor, ReduceOp::kSum);
  } catch (const Error& error) {
    world->abort(error.what(), static_cast<int>(error.exit_code()));
  }
  return 0;
}
