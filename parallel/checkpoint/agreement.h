#pragma once

#include <functional>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"

namespace trireme::checkpoint {

/// How one rank's part of the work ended.
struct Outcome {
  int exit_code = 0;    ///< of the Error that ended it; 0: done
  std::string message;  ///< of that Error, with rank and host before it
  std::string payload;  ///< what the work returned
};

/// Runs `work`; what it throws becomes an outcome that names `rank` and this host.
Outcome attempt(int rank, const std::function<std::string()>& work);

/// All failures as one: the lowest rank's exit code, all messages. Without a failure, done.
Outcome failure_of(const std::vector<Outcome>& outcomes);

/// An outcome as bytes, and back.
std::string pack(const Outcome& outcome);
Outcome unpack(const std::string& packed);

/// Runs `work` on every rank; one failure fails all: throws the same error on every rank (see failure_of).
/// Returns the payloads, by rank. Collective.
std::vector<std::string> agree(Communicator& world, const std::function<std::string()>& work);

}  // namespace trireme::checkpoint
