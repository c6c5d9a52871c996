#pragma once

#include <string>

#include "parallel/verify/difference.h"

namespace trireme::testing {

/// The models of the parity tests: two layers, dropout on, odd sizes. Tied GPT-2, untied grouped-query Llama.
ModelConfig parity_gpt2();
ModelConfig parity_llama();
ModelConfig parity_transformer();
ModelConfig parity_bert();

/// Fifty steps of 12 samples, small buckets, on one rank in one micro-batch; the tests change what they are
/// about.
verify::VerifyCase parity_run(const ModelConfig& model, Precision precision = Precision::kFp64);

/// Expects every error of a difference within `bound`, and no problem. `what` names the layout.
void expect_within(const verify::Difference& difference, double bound, const std::string& what);

}  // namespace trireme::testing
