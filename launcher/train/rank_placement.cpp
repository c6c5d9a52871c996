#include "launcher/train/rank_placement.h"

#include <sched.h>

#include <algorithm>
#include <bitset>
#include <set>
#include <vector>

#include "core/base/host.h"

namespace trireme {
namespace {

constexpr size_t kMaxCores = CPU_SETSIZE;

/// One character a core: whether this process may run on it.
std::string own_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof(set), &set);
  std::string cores(kMaxCores, '0');
  for (size_t core = 0; core < kMaxCores; ++core)
    if (CPU_ISSET(core, &set)) cores[core] = '1';
  return cores;
}

}  // namespace

RankPlacement place_ranks(Communicator& world) {
  RankPlacement placement;
  placement.host = host_name();
  // The union over the host's ranks is right whether the launcher bound each rank to its own cores or none.
  std::bitset<kMaxCores> open_cores;
  std::set<std::string> hosts;
  placement.ranks_on_host = 0;
  for (const std::string& bytes : world.gather_bytes(own_cores() + placement.host)) {
    const std::string host = bytes.substr(kMaxCores);
    hosts.insert(host);
    if (host != placement.host) continue;
    placement.ranks_on_host += 1;
    open_cores |= std::bitset<kMaxCores>(bytes, 0, kMaxCores);
  }
  placement.num_hosts = static_cast<int>(hosts.size());
  placement.threads = std::max(1, static_cast<int>(open_cores.count()) / placement.ranks_on_host);
  return placement;
}

}  // namespace trireme
