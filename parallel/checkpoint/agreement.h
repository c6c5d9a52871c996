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

/// Runs `work` on every rank and lets every rank know how it ended on all of them, in rank order. Collective.
std::vector<Outcome> gather_outcomes(Communicator& world, const std::function<std::string()>& work);

/// The same where one failure fails all: throws the same error on every rank (the lowest rank's type of
/// failure, all messages). Returns the payloads.
std::vector<std::string> agree(Communicator& world, const std::function<std::string()>& work);

}  // namespace trireme::checkpoint
