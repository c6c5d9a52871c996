#include <gtest/gtest.h>

#include "core/nn/forward_pass.h"
#include "tests/support/test_batch.h"

namespace trireme::testing {
namespace {

TEST(DropoutOptions, CountPositionsInsideTheWindowWhereDocumentsRestart) {
  Context context;
  Batch batch = random_batch(context, 2, 4, 3, 1);
  pack_documents(context, batch, 2);
  ForwardPass pass{.batch = batch};
  const ops::DropoutOptions options = nn::dropout_options(context, pass, 0.1, "a", Sequence::kTokens);
  for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(options.positions.data<int32_t>()[i], i % 4);
}

TEST(DropoutOptions, DifferBySeedStepAndSite) {
  Context context;
  const Batch batch = random_batch(context, 2, 4, 3, 1);
  const auto key = [&](uint64_t seed, int64_t step, const char* site) {
    ForwardPass pass{.batch = batch, .seed = seed, .step = step};
    const RandomKey key = nn::dropout_options(context, pass, 0.1, site, Sequence::kTokens).key;
    return std::pair{key.low, key.high};
  };
  EXPECT_EQ(key(1, 1, "a"), key(1, 1, "a"));
  EXPECT_NE(key(1, 1, "a"), key(2, 1, "a"));
  EXPECT_NE(key(1, 1, "a"), key(1, 2, "a"));
  EXPECT_NE(key(1, 1, "a"), key(1, 1, "b"));
}

TEST(DropoutOptions, AreOffOutsideTraining) {
  Context context;
  context.training = false;
  const Batch batch = random_batch(context, 2, 4, 3, 1);
  ForwardPass pass{.batch = batch};
  EXPECT_EQ(nn::dropout_options(context, pass, 0.1, "a", Sequence::kTokens).probability, 0.0);
}

}  // namespace
}  // namespace trireme::testing
