#pragma once

#include <string>
#include <vector>

#include "parallel/verify/difference.h"

namespace trireme::verify {

/// A layout against one rank, in one precision.
struct Verdict {
  Precision precision;
  Difference difference;
  std::vector<std::string> disagreements;  ///< beyond bounds_of(precision); empty: they agree
};

/// Runs the case in its layout on thread ranks, and on one rank, both in `precision`.
Verdict verify_in(const VerifyCase& layout, Precision precision);

/// Throws CommError (exit 76) with every disagreement of the verdicts; `what` names the run.
void require_agreement(const std::string& what, const std::vector<Verdict>& verdicts);

/// fp64, the judge, then the case's own precision where that is another.
std::vector<Verdict> verify(const VerifyCase& layout);

}  // namespace trireme::verify
