#include "launcher/commands/world.h"

#include <fmt/format.h>

#include <memory>

#include "core/base/log.h"
#include "launcher/train/failure.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/comm/mpi_runtime.h"

namespace trireme {

ExitCode run_in_world(const std::function<ExitCode(Communicator& world)>& body) {
  if (!comm::MpiRuntime::launched()) {
    comm::LocalCommunicator world;
    return run_on_every_rank(world, [&] { return body(world); });
  }
  comm::MpiRuntime runtime;
  const std::unique_ptr<Communicator> world = runtime.world();
  log::configure(log::Level::kInfo, fmt::format("rank {}", world->rank()));
  return run_on_every_rank(*world, [&] { return body(*world); });
}

}  // namespace trireme
