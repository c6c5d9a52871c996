#include "parallel/verify/verify.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace trireme::verify {

Verdict verify_in(const VerifyCase& layout, Precision precision) {
  const VerifyCase run = in_precision(layout, precision);
  const Difference difference = compare(run_on_threads(run), run_on_threads(on_one_rank(run)));
  return {precision, difference, disagreements(difference, bounds_of(precision))};
}

void require_agreement(const std::string& what, const std::vector<Verdict>& verdicts) {
  std::string found;
  for (const Verdict& verdict : verdicts)
    for (const std::string& disagreement : verdict.disagreements)
      found += fmt::format("\n  {}: {}", name_of(verdict.precision), disagreement);
  if (!found.empty())
    throw CommError(fmt::format("{}: this layout does not give the gradients of one rank{}", what, found),
                    ExitCode::kRanksDisagree);
}

std::vector<Verdict> verify(const VerifyCase& layout) {
  std::vector<Verdict> verdicts = {verify_in(layout, Precision::kFp64)};
  const Precision own = layout.rank.precision.dtype;
  if (own != Precision::kFp64) verdicts.push_back(verify_in(layout, own));
  return verdicts;
}

}  // namespace trireme::verify
