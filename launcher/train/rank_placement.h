#pragma once

#include <string>

#include "parallel/comm/communicator.h"

namespace trireme {

/// Where the ranks of a run sit.
struct RankPlacement {
  std::string host;
  int num_hosts = 1;
  int ranks_on_host = 1;  ///< on this rank's host
  int threads = 1;        ///< OpenMP threads for this rank: the cores open to the host's ranks, shared evenly
};

/// Collective.
RankPlacement place_ranks(Communicator& world);

}  // namespace trireme
