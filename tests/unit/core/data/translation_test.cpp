#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "core/data/indexed_dataset.h"
#include "core/data/sample_source.h"
#include "tests/support/run_program.h"
#include "tests/unit/core/data/data_files.h"

namespace trireme {
namespace {

using testing::Document;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Ids;
using testing::message_of;
using testing::row_of;
using testing::values_of;

constexpr int32_t kBegin = 1, kEnd = 2, kSourceEnd = 3;

class TranslationTest : public ::testing::Test {
 protected:
  /// Pairs of these lengths; sentences of pair i hold 10 + i, of the target 500 + i.
  std::string write(const std::string& name, const std::vector<std::pair<int, int>>& lengths) {
    std::vector<Document> sources, targets;
    for (size_t i = 0; i < lengths.size(); ++i) {
      sources.push_back({Ids(static_cast<size_t>(lengths[i].first), static_cast<int32_t>(10 + i))});
      targets.push_back({Ids(static_cast<size_t>(lengths[i].second), static_cast<int32_t>(500 + i))});
    }
    const std::string prefix = (folder_.path() / name).string();
    testing::write_documents(source_prefix(prefix), sources);
    testing::write_documents(target_prefix(prefix), targets);
    return prefix;
  }
  DataConfig config(const std::string& prefix) const {
    DataConfig config;
    config.data_path = {prefix};
    config.valid_data_path = {prefix};
    config.seq_length = 8;
    return config;
  }
  Batch batch_of(const SampleSource& source, const std::vector<int64_t>& numbers) {
    return source.make_batch(allocator_, numbers);
  }
  /// Which pair each of the samples is.
  Ids pairs_of(const SampleSource& source, int64_t begin, int64_t end) {
    std::vector<int64_t> numbers(static_cast<size_t>(end - begin));
    std::iota(numbers.begin(), numbers.end(), begin);
    const Batch batch = batch_of(source, numbers);
    Ids pairs;
    for (int64_t i = 0; i < batch.num_samples(); ++i) pairs.push_back(row_of(batch.source_tokens, i)[0] - 10);
    return pairs;
  }

  testing::TemporaryFolder folder_;
  Allocator allocator_;
  SampleNeeds needs_{.objective = Objective::kTranslation,
                     .vocab_size = testing::kVocabSize,
                     .source_vocab_size = 400,
                     .global_batch_size = 8,
                     .roles = {.begin = kBegin, .end = kEnd, .source_end = kSourceEnd}};
};

TEST_F(TranslationTest, ShiftsTheTargetByOneAndEndsBothSides) {
  const auto source = make_validation_source(config(write("a", {{2, 3}, {1, 0}})), needs_, 1);
  ASSERT_EQ(source->num_samples(), 2);
  const Batch batch = batch_of(*source, {0, 1});
  EXPECT_THAT(row_of(batch.tokens, 0), ElementsAre(kBegin, 500, 500, 500));
  EXPECT_THAT(row_of(batch.targets, 0), ElementsAre(500, 500, 500, kEnd));
  EXPECT_THAT(row_of(batch.source_tokens, 0), ElementsAre(10, 10, kSourceEnd));
  EXPECT_THAT(row_of(batch.tokens, 1), ElementsAre(kBegin, 0, 0, 0));
  EXPECT_THAT(row_of(batch.targets, 1), ElementsAre(kEnd, -1, -1, -1));
  EXPECT_THAT(row_of(batch.source_tokens, 1), ElementsAre(11, kSourceEnd, 0));
  EXPECT_THAT(values_of(batch.lengths), ElementsAre(4, 1));
  EXPECT_THAT(values_of(batch.source_lengths), ElementsAre(3, 2));
  EXPECT_EQ(batch.num_targets[LossTerm::kTokens], 5);
}

TEST_F(TranslationTest, LeavesOutAndCountsPairsOfWhichASideIsTooLong) {
  const auto source = make_validation_source(config(write("a", {{7, 7}, {8, 1}, {1, 8}, {3, 3}})), needs_, 1);
  EXPECT_EQ(source->num_left_out(), 2);
  EXPECT_THAT(pairs_of(*source, 0, 2), ElementsAre(0, 3));
  EXPECT_EQ(source->num_samples(), 2);
  EXPECT_EQ(batch_of(*source, {0, 1}).length(), 8);
}

TEST_F(TranslationTest, TrainsOnEveryPairOnceAnEpochAndValidatesOnTheLast) {
  const std::vector<std::pair<int, int>> lengths(50, {2, 2});
  DataConfig data = config(write("a", lengths));
  data.valid_data_path = {};
  data.validation_fraction = 0.2;
  const auto training = make_training_source(data, needs_, 7),
             validation = make_validation_source(data, needs_, 7);
  ASSERT_EQ(training->num_samples(), 40);
  std::set<Ids> orders;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const Ids pairs = pairs_of(*training, 40 * epoch, 40 * epoch + 40);
    orders.insert(pairs);
    EXPECT_EQ(std::set<int32_t>(pairs.begin(), pairs.end()).size(), 40u);
    EXPECT_EQ(*std::max_element(pairs.begin(), pairs.end()), 39);
  }
  EXPECT_EQ(orders.size(), 3u);
  EXPECT_THAT(pairs_of(*validation, 0, 10), ElementsAre(40, 41, 42, 43, 44, 45, 46, 47, 48, 49));
}

TEST_F(TranslationTest, LengthBucketsMakeStepsOfOneLengthWhateverTheMicroBatches) {
  std::vector<std::pair<int, int>> lengths;
  for (int i = 0; i < 64; ++i) lengths.emplace_back(1 + i % 7, 1 + i % 7);
  DataConfig data = config(write("a", lengths));
  const auto plain = make_training_source(data, needs_, 7);
  data.length_bucket = 64;
  const auto sorted = make_training_source(data, needs_, 7);
  EXPECT_NE(sorted->fingerprint(), plain->fingerprint());
  const auto padded = [&](const SampleSource& source) {
    int64_t tokens = 0;
    for (int64_t step = 0; step < 8; ++step) {
      std::vector<int64_t> numbers(8);
      std::iota(numbers.begin(), numbers.end(), 8 * step);
      tokens += batch_of(source, numbers).tokens.num_elements();
    }
    return tokens;
  };
  EXPECT_GT(padded(*plain), 64 * 7);
  EXPECT_LT(padded(*sorted), 64 * 6);
  EXPECT_EQ(pairs_of(*sorted, 16, 32), ([&] {
              Ids pairs;
              for (int64_t i = 16; i < 32; ++i) pairs.push_back(pairs_of(*sorted, i, i + 1)[0]);
              return pairs;
            }()));
  EXPECT_THAT(pairs_of(*make_validation_source(data, needs_, 7), 0, 4), ElementsAre(0, 1, 2, 3));
}

TEST_F(TranslationTest, FingerprintsFollowWhatDecidesThePairs) {
  std::vector<std::pair<int, int>> lengths(20, {3, 4});
  lengths[7] = {6, 5};
  const std::string prefix = write("a", lengths);
  DataConfig data = config(prefix);
  const auto fingerprint = [&] { return make_training_source(data, needs_, 1)->fingerprint(); };
  const std::string usual = fingerprint();
  const auto changed = [&](const std::function<void(DataConfig&, SampleNeeds&)>& change) {
    const DataConfig data_before = data;
    const SampleNeeds needs_before = needs_;
    change(data, needs_);
    const std::string result = fingerprint();
    data = data_before;
    needs_ = needs_before;
    return result != usual;
  };
  EXPECT_FALSE(changed([](auto&, auto&) {}));
  EXPECT_TRUE(changed([](auto&, auto& needs) { needs.roles.begin = 9; }));
  EXPECT_TRUE(changed([](auto&, auto& needs) { needs.roles.end = 9; }));
  EXPECT_TRUE(changed([](auto&, auto& needs) { needs.roles.source_end = 9; }));
  EXPECT_TRUE(changed([](auto& data, auto&) { data.length_bucket = 8; }));
  EXPECT_TRUE(changed([](auto& data, auto&) {
    data.valid_data_path = {};
    data.validation_fraction = 0.5;
  }));
  EXPECT_TRUE(changed([&](auto& data, auto&) {
    data.data_path = {write("b", std::vector<std::pair<int, int>>(20, {3, 5}))};
  }));
  EXPECT_NE(make_training_source(data, needs_, 2)->fingerprint(), usual);
  // Padding changes no sample: another layout may need another one.
  EXPECT_FALSE(changed([](auto& data, auto&) { data.pad_to_multiple = 4; }));
  EXPECT_FALSE(changed([](auto& data, auto&) { data.pad_to_seq_length = true; }));
  // The length decides by what it leaves out.
  EXPECT_FALSE(changed([](auto& data, auto&) { data.seq_length = 7; }));
  EXPECT_TRUE(changed([](auto& data, auto&) { data.seq_length = 6; }));
}

TEST_F(TranslationTest, SaysWhatIsWrongWithTheFiles) {
  const std::string prefix = write("a", {{1, 1}, {2, 2}});
  const auto error = [&](const DataConfig& data) {
    return message_of([&] { batch_of(*make_training_source(data, needs_, 1), {0, 1}); });
  };
  EXPECT_EQ(error(config(prefix)), "accepted");
  needs_.source_vocab_size = 11;
  EXPECT_THAT(error(config(prefix)), HasSubstr("a.source.bin: token 1 is 11, outside the vocabulary of 11"));
  needs_.source_vocab_size = 400;
  needs_.vocab_size = 501;
  EXPECT_THAT(error(config(prefix)),
              HasSubstr("a.target.bin: token 1 is 501, outside the vocabulary of 501"));
  needs_.vocab_size = testing::kVocabSize;
  testing::write_documents(target_prefix(prefix), {{{1}}});
  EXPECT_THAT(error(config(prefix)), HasSubstr("a.target: 1 documents, but"));
  EXPECT_THAT(error(config(prefix)), HasSubstr("a.source has 2; document i of both is pair i"));
  EXPECT_THAT(error(config(write("long", {{9, 1}}))),
              HasSubstr("long: has no examples for training; 1 are longer than data.seq_length 8"));
  EXPECT_THAT(error(config("/nowhere/x")), HasSubstr("/nowhere/x.source.idx"));
}

TEST_F(TranslationTest, RefusesOptionsOfOtherObjectives) {
  const std::string prefix = write("a", {{1, 1}});
  const auto error = [&](const std::function<void(DataConfig&)>& change) {
    DataConfig data = config(prefix);
    change(data);
    return message_of([&] { make_training_source(data, needs_, 1); });
  };
  EXPECT_THAT(error([](auto& data) { data.document_mask = true; }),
              HasSubstr("data.document_mask: given true, expected nothing with samples of their own"));
  EXPECT_THAT(error([](auto& data) { data.mask_prob = 0.2; }), HasSubstr("data.mask_prob: given 0.2"));
  EXPECT_THAT(error([](auto& data) { data.max_predictions_per_seq = 2; }),
              HasSubstr("data.max_predictions_per_seq: given 2"));
  EXPECT_THAT(error([](auto& data) { data.whole_word_mask = true; }), HasSubstr("data.whole_word_mask"));
  EXPECT_THAT(error([](auto& data) { data.mask_by_attention = true; }),
              HasSubstr("data.mask_by_attention: given true"));
  EXPECT_THAT(error([](auto& data) { data.short_seq_prob = 0; }), HasSubstr("data.short_seq_prob"));
  EXPECT_THAT(error([](auto& data) { data.pad_to_multiple = 3; }),
              HasSubstr("data.pad_to_multiple: given 3, expected a divisor of data.seq_length 8"));
}

}  // namespace
}  // namespace trireme
