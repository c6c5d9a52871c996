#pragma once

#include "tests/support/op_case.h"

namespace trireme::testing {

/// One function per operation family; op_cases() concatenates them.
std::vector<OpCase> gemm_cases();
std::vector<OpCase> attention_cases();
std::vector<OpCase> scored_attention_cases();
std::vector<OpCase> disagreement_cases();
std::vector<OpCase> batch_norm_cases();
std::vector<OpCase> complex_embedding_cases();
std::vector<OpCase> recurrent_cases();
std::vector<OpCase> cross_entropy_cases();
std::vector<OpCase> elementwise_cases();
std::vector<OpCase> reduce_cases();
std::vector<OpCase> norm_cases();
std::vector<OpCase> activation_cases();
std::vector<OpCase> rotary_cases();
std::vector<OpCase> embedding_cases();
std::vector<OpCase> dropout_cases();
std::vector<OpCase> optimizer_cases();

}  // namespace trireme::testing
