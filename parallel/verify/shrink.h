#pragma once

#include <string>
#include <vector>

#include "parallel/verify/verify_case.h"

namespace trireme::verify {

/// A run small enough to verify in seconds that keeps every choice of structure of the full one.
struct Shrunk {
  VerifyCase run;
  struct Change {
    std::string key;
    std::string from;
    std::string to;
  };
  std::vector<Change> changes;
  std::vector<std::string> dropped;  ///< what the small run does not show, a sentence each
};

/// Each axis above 1 becomes 2; 3 where the original divides unevenly along it (a vocabulary over tensor
/// ranks, layers over stages), 4 for tensor ranks that copy several key heads; at most 16 ranks. Layers,
/// heads, groups, vocabulary and feed-forward width become small and keep what they leave over when divided;
/// micro-batches keep whether they are fewer than the stages and whether they divide by them. Schedule,
/// chunks, ZeRO, sequence parallelism, recompute, tying, dropout, precision and document mask stay.
/// `full.rank.model` resolved.
Shrunk shrink(const VerifyCase& full);

}  // namespace trireme::verify
