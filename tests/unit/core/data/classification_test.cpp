#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <set>

#include "core/data/labels_file.h"
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

constexpr int32_t kCls = 1, kSep = 2;

class ClassificationTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::vector<Document>& documents, const Labels& labels) {
    const std::string prefix = testing::write_documents((folder_.path() / name).string(), documents);
    write_labels(labels_path(prefix), labels);
    return prefix;
  }
  DataConfig config(const std::string& prefix) const {
    DataConfig config;
    config.data_path = {prefix};
    config.valid_data_path = {prefix};
    config.seq_length = 8;
    return config;
  }
  Batch validation_batch(const DataConfig& data, const std::vector<int64_t>& numbers) {
    return make_validation_source(data, needs_, 1)->make_batch(allocator_, numbers);
  }

  testing::TemporaryFolder folder_;
  Allocator allocator_;
  SampleNeeds needs_{.objective = Objective::kClassification,
                     .vocab_size = testing::kVocabSize,
                     .num_classes = 2,
                     .global_batch_size = 4,
                     .roles = {.cls = kCls, .sep = kSep}};
  const Labels kLabels{{"no", "yes"}, {1, 0}};
};

TEST_F(ClassificationTest, ReadsSentencesAndPairsWithTheirClasses) {
  const std::string prefix = write("a", {{{10, 11}}, {{12}, {13, 14}}}, kLabels);
  const Batch batch = validation_batch(config(prefix), {0, 1});
  EXPECT_THAT(row_of(batch.tokens, 0), ElementsAre(kCls, 10, 11, kSep, 0, 0));
  EXPECT_THAT(row_of(batch.tokens, 1), ElementsAre(kCls, 12, kSep, 13, 14, kSep));
  EXPECT_THAT(row_of(batch.segments, 0), ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_THAT(row_of(batch.segments, 1), ElementsAre(0, 0, 0, 1, 1, 1));
  EXPECT_THAT(values_of(batch.lengths), ElementsAre(4, 6));
  EXPECT_THAT(values_of(batch.labels), ElementsAre(1, 0));
  EXPECT_THAT(row_of(batch.targets, 0), ElementsAre(-1, -1, -1, -1, -1, -1));
  EXPECT_EQ(batch.num_targets[LossTerm::kSamples], 2);
  EXPECT_EQ(batch.num_targets[LossTerm::kTokens], 0);
}

TEST_F(ClassificationTest, CutsWhatIsTooLongAtTheEndTheLongerOfAPairFirst) {
  const std::vector<Document> documents = {{{10, 11, 12, 13, 14, 15, 16, 17}},
                                           {{10, 11, 12, 13, 14}, {20}},
                                           {{10, 11, 12, 13}, {20, 21, 22, 23}},
                                           {{10}, {20, 21, 22, 23, 24, 25}},
                                           {{}, {}}};
  const std::string prefix = write("a", documents, {{"no", "yes"}, {0, 0, 0, 0, 0}});
  const Batch batch = validation_batch(config(prefix), {0, 1, 2, 3, 4});
  EXPECT_THAT(row_of(batch.tokens, 0), ElementsAre(kCls, 10, 11, 12, 13, 14, 15, kSep));
  EXPECT_THAT(row_of(batch.tokens, 1), ElementsAre(kCls, 10, 11, 12, 13, kSep, 20, kSep));
  EXPECT_THAT(row_of(batch.tokens, 2), ElementsAre(kCls, 10, 11, 12, kSep, 20, 21, kSep));
  EXPECT_THAT(row_of(batch.tokens, 3), ElementsAre(kCls, 10, kSep, 20, 21, 22, 23, kSep));
  EXPECT_THAT(row_of(batch.tokens, 4), ElementsAre(kCls, kSep, kSep, 0, 0, 0, 0, 0));
}

TEST_F(ClassificationTest, CutsPairsAsBertDoes) {
  constexpr int kLongest = 12;
  std::vector<Document> documents;
  for (int i = 0; i < kLongest * kLongest; ++i)
    documents.push_back(
        {Ids(static_cast<size_t>(i / kLongest), 10), Ids(static_cast<size_t>(i % kLongest), 20)});
  const DataConfig data = config(
      write("a", documents, {{"no", "yes"}, std::vector<int32_t>(static_cast<size_t>(kLongest * kLongest))}));
  const auto source = make_validation_source(data, needs_, 1);
  for (int i = 0; i < kLongest * kLongest; ++i) {
    const Ids tokens = row_of(source->make_batch(allocator_, std::vector<int64_t>{i}).tokens, 0);
    int left_a = i / kLongest, left_b = i % kLongest;  // one token after the other
    while (left_a + left_b > 5) --(left_a > left_b ? left_a : left_b);
    EXPECT_EQ(std::count(tokens.begin(), tokens.end(), 10), left_a) << "pair " << i;
    EXPECT_EQ(std::count(tokens.begin(), tokens.end(), 20), left_b) << "pair " << i;
  }
}

TEST_F(ClassificationTest, TrainsOnEveryExampleOnceAnEpochWithItsOwnClass) {
  std::vector<Document> documents;
  Labels labels{{"no", "yes"}, {}};
  for (int32_t i = 0; i < 40; ++i) {
    documents.push_back({Ids(static_cast<size_t>(1 + i % 6), 100 + i)});
    labels.labels.push_back(i % 3 == 0 ? 1 : 0);
  }
  DataConfig data = config(write("a", documents, labels));
  std::vector<int64_t> numbers(40);
  std::iota(numbers.begin(), numbers.end(), 40);
  for (const int64_t bucket : {0, 40}) {
    data.length_bucket = bucket;
    const Batch batch = make_training_source(data, needs_, 3)->make_batch(allocator_, numbers);
    std::set<int32_t> seen;
    int64_t padded = 0;
    for (int64_t row = 0; row < 40; ++row) {
      const int32_t example = row_of(batch.tokens, row)[1] - 100;
      seen.insert(example);
      EXPECT_EQ(batch.labels.data<int32_t>()[row], example % 3 == 0 ? 1 : 0);
      const int64_t step = row / 4 * 4;
      padded +=
          *std::max_element(batch.lengths.data<int32_t>() + step, batch.lengths.data<int32_t>() + step + 4);
    }
    EXPECT_EQ(seen.size(), 40u);
    EXPECT_EQ(padded<230, bucket> 0) << padded << " tokens, 216 without padding";
  }
}

TEST_F(ClassificationTest, FingerprintsFollowWhatDecidesTheExamples) {
  const std::string prefix = write("a", {{{10, 11}}, {{12}, {13, 14}}}, kLabels);
  const auto fingerprint = [&](const std::function<void(DataConfig&, SampleNeeds&)>& change) {
    DataConfig data = config(prefix);
    SampleNeeds needs = needs_;
    change(data, needs);
    return make_training_source(data, needs, 1)->fingerprint();
  };
  const std::string usual = fingerprint([](auto&, auto&) {});
  EXPECT_EQ(fingerprint([](auto& data, auto&) { data.pad_to_seq_length = true; }), usual);
  EXPECT_NE(fingerprint([](auto& data, auto&) { data.seq_length = 7; }), usual);
  EXPECT_NE(fingerprint([](auto& data, auto&) { data.length_bucket = 7; }), usual);
  EXPECT_NE(fingerprint([](auto&, auto& needs) { needs.roles.cls = 7; }), usual);
  EXPECT_NE(fingerprint([](auto&, auto& needs) { needs.roles.sep = 7; }), usual);
  write_labels(labels_path(prefix), {{"no", "yes"}, {1, 1}});
  EXPECT_NE(fingerprint([](auto&, auto&) {}), usual);
  write_labels(labels_path(prefix), {{"yes", "no"}, {1, 0}});
  EXPECT_NE(fingerprint([](auto&, auto&) {}), usual);
}

TEST_F(ClassificationTest, SaysWhatIsWrongWithTheFiles) {
  const std::vector<Document> documents = {{{10, 11}}, {{12}, {13, 14}}};
  const auto error = [&](const std::vector<Document>& content, const Labels& labels) {
    const std::string prefix = write("a", content, labels);
    return message_of([&] { validation_batch(config(prefix), {0, 1}); });
  };
  EXPECT_EQ(error(documents, kLabels), "accepted");
  EXPECT_THAT(error(documents, {{"no", "yes"}, {1}}), HasSubstr("a.labels: 1 labels, but"));
  EXPECT_THAT(error(documents, {{"no", "yes"}, {1}}), HasSubstr("a.idx has 2 documents"));
  EXPECT_THAT(error(documents, {{"no", "yes", "perhaps"}, {1, 2}}),
              HasSubstr("a.labels: has 3 classes, but model.num_classes is 2"));
  EXPECT_THAT(error({{{10}, {11}, {12}}, {{1}}}, kLabels), HasSubstr("a.idx: document 0 has 3 sequences"));
  EXPECT_THAT(error({{{10}}, {}}, kLabels), HasSubstr("a.idx: document 1 has 0 sequences"));
  EXPECT_THAT(error({{{10}}, {{11}}}, kLabels), HasSubstr("accepted"));
  DataConfig data = config(write("a", documents, kLabels));
  data.valid_data_path = {write("b", documents, {{"yes", "no"}, {0, 1}})};
  EXPECT_THAT(message_of([&] { validation_batch(data, {0}); }),
              HasSubstr("b.labels: has the classes yes, no, but"));
  data.data_path = {"/nowhere/x"};
  EXPECT_THAT(message_of([&] { validation_batch(data, {0}); }), HasSubstr("/nowhere/x.labels"));
  needs_.vocab_size = 14;
  EXPECT_THAT(error(documents, kLabels), HasSubstr("a.bin: token 4 is 14, outside the vocabulary of 14"));
  data = config(write("a", documents, kLabels));
  data.seq_length = 2;
  EXPECT_THAT(message_of([&] { validation_batch(data, {0}); }), HasSubstr("data.seq_length: given 2"));
}

}  // namespace
}  // namespace trireme
