#pragma once

#include <cmath>

namespace trireme {

/// Of a mean loss in nats a token: the number of equally likely tokens that would be as hard to guess.
inline double perplexity(double mean_loss) {
  return std::exp(mean_loss);
}

}  // namespace trireme
