#pragma once

namespace trireme {

/// What the `trireme` command returns to the shell. README.md has the table with causes and remedies.
enum class ExitCode : int {
  kOk = 0,
  kUsage = 64,          ///< wrong command line or configuration
  kBadData = 65,        ///< data set, tokenizer or checkpoint that cannot be used
  kInternal = 70,       ///< our own bug
  kDevice = 71,         ///< device or communication failure
  kCannotCreate = 73,   ///< output cannot be created or is locked
  kInputOutput = 74,    ///< read or write failed
  kPreempted = 75,      ///< saved after a signal; run the same command again
  kRanksDisagree = 76,  ///< replicas or layouts differ
  kDiverged = 77,       ///< training diverged
  kWatchdog = 124,      ///< a wait on another rank passed its deadline
};

}  // namespace trireme
