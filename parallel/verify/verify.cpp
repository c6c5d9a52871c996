#include "parallel/verify/verify.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace trireme::verify {
namespace {

Verdict judge(const Trace& trace, const Trace& reference, const Bounds& bounds) {
  const Difference difference = compare(trace, reference);
  return {trace.precision, difference, bounds, disagreements(difference, bounds)};
}

Trace run_in(const VerifyCase& layout, Precision precision) {
  return run_on_threads(in_precision(layout, precision));
}

}  // namespace

void require_agreement(const std::string& what, const std::vector<Verdict>& verdicts) {
  std::string found;
  for (const Verdict& verdict : verdicts)
    for (const std::string& disagreement : verdict.disagreements)
      found += fmt::format("\n  {}: {}", name_of(verdict.precision), disagreement);
  if (!found.empty())
    throw CommError(fmt::format("{}: this layout does not give the gradients of one rank{}", what, found),
                    ExitCode::kRanksDisagree);
}

Verdict verify_in_fp64(const VerifyCase& layout) {
  return judge(run_in(layout, Precision::kFp64), run_in(on_one_rank(layout), Precision::kFp64),
               fp64_bounds());
}

std::vector<Verdict> verify(const VerifyCase& layout) {
  std::vector<Verdict> verdicts = {verify_in_fp64(layout)};
  const Precision own = layout.rank.precision.dtype;
  if (own == Precision::kFp64) return verdicts;
  const VerifyCase smooth = with_smooth_activation(layout);
  const VerifyCase alone = on_one_rank(smooth);
  const Trace reference = run_in(alone, own);
  const Difference rounding = compare(reference, run_in(alone, Precision::kFp64));
  verdicts.push_back(judge(run_in(smooth, own), reference, bounds_of(own, rounding)));
  return verdicts;
}

}  // namespace trireme::verify
