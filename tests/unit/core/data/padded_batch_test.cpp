#include "core/data/padded_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/core/data/data_files.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using testing::row_of;
using testing::values_of;

class PaddedBatchTest : public ::testing::Test {
 protected:
  Batch pad(const std::vector<SampleContent>& samples) {
    std::vector<int64_t> numbers(samples.size(), 9);
    return pad_samples(allocator_, config_, needs_, numbers, samples);
  }
  Allocator allocator_;
  DataConfig config_;
  SampleNeeds needs_{.objective = Objective::kTranslation};
};

const SampleContent kShort{.tokens = {5}, .targets = {6}, .source = {7, 8, 9}};
const SampleContent kLong{.tokens = {1, 2, 3}, .targets = {2, -1, 4}, .source = {7}};

TEST_F(PaddedBatchTest, PadsToTheLongestSampleAndCountsWhatIsPredicted) {
  const Batch batch = pad({kShort, kLong});
  EXPECT_THAT(row_of(batch.tokens, 0), ElementsAre(5, 0, 0));
  EXPECT_THAT(row_of(batch.tokens, 1), ElementsAre(1, 2, 3));
  EXPECT_THAT(row_of(batch.targets, 0), ElementsAre(6, -1, -1));
  EXPECT_THAT(row_of(batch.targets, 1), ElementsAre(2, -1, 4));
  EXPECT_THAT(row_of(batch.positions, 0), ElementsAre(0, 1, 2));
  EXPECT_THAT(values_of(batch.lengths), ElementsAre(1, 3));
  EXPECT_THAT(row_of(batch.source_tokens, 1), ElementsAre(7, 0, 0));
  EXPECT_THAT(row_of(batch.source_positions, 1), ElementsAre(0, 1, 2));
  EXPECT_THAT(values_of(batch.source_lengths), ElementsAre(3, 1));
  EXPECT_THAT(
      (std::vector<int64_t>{batch.sample_ids.data<int64_t>()[0], batch.sample_ids.data<int64_t>()[1]}),
      ElementsAre(9, 9));
  EXPECT_EQ(batch.num_targets[LossTerm::kTokens], 3);
  EXPECT_EQ(batch.num_targets[LossTerm::kSamples], 0);
  EXPECT_FALSE(batch.segments.defined());
  EXPECT_FALSE(batch.labels.defined());
  EXPECT_FALSE(batch.key_begin.defined());
}

TEST_F(PaddedBatchTest, PadsToAMultipleOrToTheWholeLengthWhereAsked) {
  config_.seq_length = 16;
  config_.pad_to_multiple = 4;
  EXPECT_EQ(pad({kShort, kLong}).tokens.shape(), (Shape{2, 4}));
  EXPECT_EQ(pad({kShort}).source_tokens.shape(), (Shape{1, 4}));
  config_.pad_to_seq_length = true;
  EXPECT_EQ(pad({kShort, kLong}).tokens.shape(), (Shape{2, 16}));
  EXPECT_EQ(pad({kShort, kLong}).source_tokens.shape(), (Shape{2, 16}));
}

TEST_F(PaddedBatchTest, TakesASampleOfPaddingAlone) {
  const Batch batch = pad({SampleContent{}});
  EXPECT_THAT(values_of(batch.lengths), ElementsAre(0));
  EXPECT_THAT(values_of(batch.source_lengths), ElementsAre(0));
  EXPECT_THAT(row_of(batch.targets, 0), ElementsAre(-1));
  EXPECT_EQ(batch.num_targets[LossTerm::kTokens], 0);
}

TEST_F(PaddedBatchTest, HasSegmentsAndLabelsWhereTheObjectiveReadsThem) {
  const SampleContent sample{.tokens = {1, 2, 3}, .targets = {}, .segments = {0, 1, 1}, .label = 1};
  const SampleContent without{.tokens = {1}};
  needs_ = {.objective = Objective::kClassification, .num_classes = 2};
  const Batch batch = pad({sample, without});
  EXPECT_THAT(row_of(batch.segments, 0), ElementsAre(0, 1, 1));
  EXPECT_THAT(row_of(batch.segments, 1), ElementsAre(0, 0, 0));
  EXPECT_THAT(row_of(batch.targets, 0), ElementsAre(-1, -1, -1));
  EXPECT_THAT(values_of(batch.labels), ElementsAre(1, -1));
  EXPECT_EQ(batch.num_targets[LossTerm::kSamples], 1);
  EXPECT_FALSE(batch.source_tokens.defined());
  needs_ = {.objective = Objective::kMasked};
  EXPECT_TRUE(pad({sample}).segments.defined());
  EXPECT_FALSE(pad({sample}).labels.defined());
  needs_.next_sentence = true;
  EXPECT_TRUE(pad({sample}).labels.defined());
}

}  // namespace
}  // namespace trireme
