#include "parallel/verify/verify.h"

namespace trireme::verify {

Verdict verify_in(const VerifyCase& layout, Precision precision) {
  const VerifyCase run = in_precision(layout, precision);
  const Difference difference = compare(run_on_threads(run), run_on_threads(on_one_rank(run)));
  return {precision, difference, disagreements(difference, bounds_of(precision))};
}

std::vector<Verdict> verify(const VerifyCase& layout) {
  std::vector<Verdict> verdicts = {verify_in(layout, Precision::kFp64)};
  const Precision own = layout.rank.precision.dtype;
  if (own != Precision::kFp64) verdicts.push_back(verify_in(layout, own));
  return verdicts;
}

}  // namespace trireme::verify
