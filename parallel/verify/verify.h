#pragma once

#include <string>
#include <vector>

#include "parallel/verify/difference.h"

namespace trireme::verify {

/// A layout against one rank, in one precision.
struct Verdict {
  Precision precision;
  Difference difference;
  Bounds bounds;
  std::vector<std::string> disagreements;  ///< beyond the bounds; empty: they agree
};

/// Runs the case in its layout on thread ranks, and on one rank, both in fp64.
Verdict verify_in_fp64(const VerifyCase& layout);

/// Throws CommError (exit 76) with every disagreement of the verdicts; `what` names the run.
void require_agreement(const std::string& what, const std::vector<Verdict>& verdicts);

/// fp64, the judge, then the case's own precision where that is another: there a layout may be as far from
/// one rank as rounding makes that rank from fp64 (bounds_of), with a smooth activation.
std::vector<Verdict> verify(const VerifyCase& layout);

}  // namespace trireme::verify
