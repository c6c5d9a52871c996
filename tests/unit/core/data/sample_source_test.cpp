#include "core/data/sample_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <algorithm>

#include <map>
#include <numeric>
#include <set>

#include "core/base/error.h"
#include "core/data/indexed_dataset_writer.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

class SampleSourceTest : public ::testing::Test {
 protected:
  /// Documents of ids; the first id of the whole file is `first`, then they count up.
  std::string write(const std::string& name, const std::vector<int>& lengths, int32_t first) {
    const std::string prefix = (folder_.path() / name).string();
    IndexedDatasetWriter writer(prefix, kVocabSize);
    for (const int length : lengths) {
      Ids ids(static_cast<size_t>(length));
      std::iota(ids.begin(), ids.end(), first);
      first += length;
      writer.add_document(ids);
    }
    writer.commit();
    return prefix;
  }
  DataConfig config(std::vector<std::string> paths, double validation_fraction = 0) const {
    DataConfig config;
    config.data_path = std::move(paths);
    config.seq_length = 4;
    config.validation_fraction = validation_fraction;
    return config;
  }
  static Ids row(const Tensor& tensor, int64_t index) {
    return {tensor.row<int32_t>(index), tensor.row<int32_t>(index) + tensor.cols()};
  }
  /// The first token of each of the samples [begin, end).
  Ids first_tokens(const SampleSource& source, int64_t begin, int64_t end) {
    std::vector<int64_t> numbers(static_cast<size_t>(end - begin));
    std::iota(numbers.begin(), numbers.end(), begin);
    const Batch batch = source.make_batch(allocator_, numbers);
    Ids tokens;
    for (int64_t i = 0; i < batch.num_samples(); ++i) tokens.push_back(row(batch.tokens, i)[0]);
    return tokens;
  }
  template <class Body>
  static std::string message_of(Body&& body) {
    try {
      body();
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }

  static constexpr int64_t kVocabSize = 1000;
  const SampleNeeds kNeeds{.vocab_size = kVocabSize};
  testing::TemporaryFolder folder_;
  Allocator allocator_;
};

TEST_F(SampleSourceTest, ValidationTakesEveryWindowOnceInOrder) {
  DataConfig data = config({write("a", {10, 13}, 0)});
  data.valid_data_path = {write("v", {9}, 100), write("w", {14}, 200)};
  const auto source = make_validation_source(data, kNeeds, 1);
  ASSERT_EQ(source->num_samples(), 2 + 3);
  EXPECT_THAT(first_tokens(*source, 0, 5), ElementsAre(100, 104, 200, 204, 208));
  const Batch batch = source->make_batch(allocator_, std::vector<int64_t>{1, 4});
  EXPECT_THAT(row(batch.tokens, 0), ElementsAre(104, 105, 106, 107));
  EXPECT_THAT(row(batch.targets, 0), ElementsAre(105, 106, 107, 108));
  EXPECT_THAT(row(batch.targets, 1), ElementsAre(209, 210, 211, 212));
  EXPECT_THAT(row(batch.positions, 1), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(batch.sample_ids.data<int64_t>()[1], 4);
  EXPECT_EQ(batch.num_targets[LossTerm::kTokens], 8);
  EXPECT_FALSE(batch.key_begin.defined());
}

TEST_F(SampleSourceTest, TrainingTakesEveryWindowOnceAnEpochInANewOrder) {
  const auto source = make_training_source(config({write("a", {50, 51}, 0)}), kNeeds, 7);
  ASSERT_EQ(source->num_samples(), 25);
  std::set<Ids> orders;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const Ids tokens = first_tokens(*source, epoch * 25, epoch * 25 + 25);
    orders.insert(tokens);
    Ids sorted = tokens, expected(25);
    std::sort(sorted.begin(), sorted.end());
    for (int i = 0; i < 25; ++i) expected[i] = 4 * i;
    EXPECT_EQ(sorted, expected);
    EXPECT_NE(tokens, expected);
  }
  EXPECT_EQ(orders.size(), 3u);
}

TEST_F(SampleSourceTest, DependsOnSeedAndSampleNumberOnly) {
  const DataConfig data = config({write("a", {500}, 0)});
  const auto first = make_training_source(data, kNeeds, 7), again = make_training_source(data, kNeeds, 7),
             other = make_training_source(data, kNeeds, 8);
  const Ids tokens = first_tokens(*first, 0, 60);
  EXPECT_EQ(first_tokens(*again, 0, 60), tokens);
  EXPECT_EQ(first_tokens(*again, 30, 60), Ids(tokens.begin() + 30, tokens.end()));
  EXPECT_NE(first_tokens(*other, 0, 60), tokens);
}

TEST_F(SampleSourceTest, BlendsByTokensSoThatAnEpochTakesEveryWindowOnce) {
  const auto source = make_training_source(
      config({write("a", {41}, 0), write("b", {21}, 100), write("c", {121}, 200)}), kNeeds, 3);
  ASSERT_EQ(source->num_samples(), 10 + 5 + 30);
  const Ids tokens = first_tokens(*source, 0, 45);
  EXPECT_EQ(std::set<int32_t>(tokens.begin(), tokens.end()).size(), 45u);
}

TEST_F(SampleSourceTest, BlendsByWeight) {
  DataConfig data = config({write("a", {41}, 0), write("b", {401}, 100)});
  data.data_weights = {3, 1};
  const auto source = make_training_source(data, kNeeds, 3);
  std::map<int32_t, int> seen;
  int from_first = 0;
  for (const int32_t token : first_tokens(*source, 0, 40)) {
    from_first += token < 100;
    ++seen[token];
  }
  EXPECT_EQ(from_first, 30);
  for (int32_t window = 0; window < 10; ++window)
    EXPECT_EQ(seen[4 * window], 3);  // three passes over 10 windows
}

TEST_F(SampleSourceTest, KeepsTheEndOfEachFileForValidation) {
  const DataConfig data = config({write("a", {100}, 0), write("b", {50}, 200)}, 0.1);
  const auto training = make_training_source(data, kNeeds, 1);
  const auto validation = make_validation_source(data, kNeeds, 1);
  EXPECT_EQ(training->num_samples(), 22 + 11);
  EXPECT_EQ(validation->num_samples(), 2 + 1);
  EXPECT_THAT(first_tokens(*validation, 0, 3), ElementsAre(90, 94, 245));
  for (const int32_t token : first_tokens(*training, 0, 33)) EXPECT_TRUE(token + 4 < 90 || token >= 200);
  EXPECT_EQ(make_validation_source(config(data.data_path, 0), kNeeds, 1), nullptr);
}

TEST_F(SampleSourceTest, MasksDocuments) {
  DataConfig data = config({write("a", {2, 0, 3, 1, 0, 9, 6}, 0)});
  data.seq_length = 7;
  data.document_mask = true;
  data.valid_data_path = data.data_path;
  const auto source = make_validation_source(data, kNeeds, 1);
  ASSERT_EQ(source->num_samples(), 2);
  const Batch batch = source->make_batch(allocator_, std::vector<int64_t>{0, 1});
  // documents: 0 1 | 2 3 4 | 5 | 6 ... 14 | 15 ... 20
  EXPECT_THAT(row(batch.tokens, 0), ElementsAre(0, 1, 2, 3, 4, 5, 6));
  EXPECT_THAT(row(batch.targets, 0), ElementsAre(1, -1, 3, 4, -1, -1, 7));
  EXPECT_THAT(row(batch.positions, 0), ElementsAre(0, 1, 0, 1, 2, 0, 0));
  EXPECT_THAT(row(batch.key_begin, 0), ElementsAre(0, 0, 2, 2, 2, 5, 6));
  EXPECT_THAT(row(batch.targets, 1), ElementsAre(8, 9, 10, 11, 12, 13, 14));
  EXPECT_THAT(row(batch.key_begin, 1), ElementsAre(0, 0, 0, 0, 0, 0, 0));
  EXPECT_EQ(batch.num_targets[LossTerm::kTokens], 4 + 7);
}

TEST_F(SampleSourceTest, IgnoresTheTargetAtAWindowsEndWhenTheDocumentEndsThere) {
  DataConfig data = config({write("a", {4, 5}, 0)});
  data.document_mask = true;
  data.valid_data_path = data.data_path;
  const Batch batch =
      make_validation_source(data, kNeeds, 1)->make_batch(allocator_, std::vector<int64_t>{0});
  EXPECT_THAT(row(batch.targets, 0), ElementsAre(1, 2, 3, -1));
  EXPECT_EQ(batch.num_targets[LossTerm::kTokens], 3);
}

TEST_F(SampleSourceTest, FingerprintsFollowWhatDecidesTheSamples) {
  const DataConfig data = config({write("a", {100}, 0)}, 0.1);
  const auto fingerprint = [&](auto&& change) {
    DataConfig changed = data;
    change(changed);
    return make_training_source(changed, kNeeds, 1)->fingerprint();
  };
  const std::string original = fingerprint([](auto&) {});
  EXPECT_EQ(fingerprint([](auto&) {}), original);
  EXPECT_NE(fingerprint([](auto& c) { c.seq_length = 5; }), original);
  EXPECT_NE(fingerprint([](auto& c) { c.document_mask = true; }), original);
  EXPECT_NE(fingerprint([](auto& c) { c.validation_fraction = 0.2; }), original);
  EXPECT_NE(fingerprint([&](auto& c) { c.data_path = {write("b", {100}, 1)}; }), original);
  EXPECT_NE(make_training_source(data, kNeeds, 2)->fingerprint(), original);
}

TEST_F(SampleSourceTest, SaysWhatIsWrong) {
  const std::string prefix = write("a", {100}, 0);
  const auto training_error = [&](auto&& change) {
    DataConfig changed = config({prefix}, 0.1);
    change(changed);
    return message_of([&] { make_training_source(changed, kNeeds, 1); });
  };
  EXPECT_EQ(training_error([](auto&) {}), "accepted");
  EXPECT_THAT(training_error([](auto& c) { c.data_path = {}; }), HasSubstr("data.data_path is empty"));
  EXPECT_THAT(training_error([](auto& c) {
                c.data_weights = {1, 2};
              }),
              HasSubstr("2 entries, expected one for each"));
  EXPECT_THAT(training_error([](auto& c) { c.data_weights = {-1}; }), HasSubstr("has -1"));
  EXPECT_THAT(training_error([](auto& c) { c.data_weights = {0}; }), HasSubstr("all 0"));
  EXPECT_THAT(training_error([](auto& c) { c.seq_length = 0; }), HasSubstr("data.seq_length is 0"));
  EXPECT_THAT(training_error([](auto& c) { c.validation_fraction = 1; }),
              HasSubstr("validation_fraction is 1"));
  EXPECT_THAT(training_error([](auto& c) { c.seq_length = 90; }),
              HasSubstr("a: 90 tokens for training are fewer than one sample; data.seq_length 90 needs 91"));
  EXPECT_THAT(training_error([](auto& c) { c.data_path = {"/nowhere/x"}; }), HasSubstr("/nowhere/x.idx"));
  EXPECT_THAT(message_of([&] {
                DataConfig data = config({prefix}, 0.04);
                make_validation_source(data, kNeeds, 1);
              }),
              HasSubstr("4 tokens for validation are fewer than one sample"));
  EXPECT_THAT(message_of([&] {
                const auto source = make_training_source(config({prefix}), SampleNeeds{.vocab_size = 50}, 1);
                first_tokens(*source, 0, source->num_samples());
              }),
              HasSubstr("outside the vocabulary of 50"));
}

TEST_F(SampleSourceTest, SyntheticTokensFollowSeedAndNumberAndFillTheVocabulary) {
  DataConfig data;
  data.source = DataSource::kSynthetic;
  data.seq_length = 64;
  const auto source = make_training_source(data, SampleNeeds{.vocab_size = 50}, 1);
  const Batch batch = source->make_batch(allocator_, std::vector<int64_t>{5, int64_t{1} << 35, 6});
  const Batch again = make_training_source(data, SampleNeeds{.vocab_size = 50}, 1)
                          ->make_batch(allocator_, std::vector<int64_t>{6});
  EXPECT_EQ(row(batch.tokens, 2), row(again.tokens, 0));
  EXPECT_NE(row(batch.tokens, 0), row(batch.tokens, 1));
  EXPECT_EQ(batch.num_targets[LossTerm::kTokens], 3 * 64);
  std::set<int32_t> seen;
  for (int64_t i = 0; i < 3; ++i) {
    const Ids tokens = row(batch.tokens, i), targets = row(batch.targets, i);
    EXPECT_TRUE(std::equal(tokens.begin() + 1, tokens.end(), targets.begin()));
    seen.insert(tokens.begin(), tokens.end());
  }
  EXPECT_GT(seen.size(), 40u);
  EXPECT_TRUE(*seen.begin() >= 0 && *seen.rbegin() < 50);
  const auto validation = make_validation_source(data, SampleNeeds{.vocab_size = 50}, 1);
  EXPECT_GT(validation->num_samples(), 0);
  EXPECT_NE(row(validation->make_batch(allocator_, std::vector<int64_t>{5}).tokens, 0), row(batch.tokens, 0));
}

TEST_F(SampleSourceTest, SyntheticSamplesAreValidForEveryObjective) {
  DataConfig data;
  data.source = DataSource::kSynthetic;
  data.seq_length = 20;
  const std::vector<int64_t> numbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  const auto batch_of = [&](const SampleNeeds& needs) {
    return make_training_source(data, needs, 1)->make_batch(allocator_, numbers);
  };
  const auto expect_below = [](const Tensor& ids, int32_t least, int64_t size) {
    for (int64_t i = 0; i < ids.num_elements(); ++i) {
      EXPECT_GE(ids.data<int32_t>()[i], least);
      EXPECT_LT(ids.data<int32_t>()[i], size);
    }
  };
  const auto expect_lengths = [](const Tensor& lengths, int64_t padded) {
    const auto [shortest, longest] =
        std::minmax_element(lengths.data<int32_t>(), lengths.data<int32_t>() + 10);
    EXPECT_GE(*shortest, 10);
    EXPECT_LT(*shortest, *longest);
    EXPECT_EQ(*longest, padded);
  };
  const SampleNeeds translation{
      .objective = Objective::kTranslation, .vocab_size = 50, .source_vocab_size = 30};
  const Batch pairs = batch_of(translation);
  expect_below(pairs.tokens, 0, 50);
  expect_below(pairs.source_tokens, 0, 30);
  expect_lengths(pairs.lengths, pairs.length());
  expect_lengths(pairs.source_lengths, pairs.length(Sequence::kSource));
  const SampleNeeds masked{.objective = Objective::kMasked, .vocab_size = 50, .next_sentence = true};
  const Batch sentences = batch_of(masked);
  expect_below(sentences.targets, kNoTarget, 50);
  expect_below(sentences.segments, 0, 2);
  expect_below(sentences.labels, 0, 2);
  expect_lengths(sentences.lengths, sentences.length());
  EXPECT_GE(sentences.num_targets[LossTerm::kTokens], 10);
  EXPECT_LT(sentences.num_targets[LossTerm::kTokens], 60);
  EXPECT_EQ(sentences.num_targets[LossTerm::kSamples], 10);
  data.mask_by_attention = true;
  const Batch hiding = batch_of(masked);
  data.mask_by_attention = false;
  expect_below(hiding.tokens, kHiddenToken, 50);
  EXPECT_TRUE(std::any_of(hiding.tokens.data<int32_t>(), hiding.tokens.data<int32_t>() + hiding.length(),
                          [](int32_t token) { return token == kHiddenToken; }));
  const SampleNeeds classes{.objective = Objective::kClassification, .vocab_size = 50, .num_classes = 3};
  const Batch labelled = batch_of(classes);
  expect_below(labelled.labels, 0, 3);
  EXPECT_EQ(labelled.num_targets[LossTerm::kSamples], 10);
  EXPECT_EQ(labelled.num_targets[LossTerm::kTokens], 0);
  std::set<std::string> fingerprints;
  for (const SampleNeeds& needs : {translation, masked, classes, SampleNeeds{.vocab_size = 50}})
    fingerprints.insert(make_training_source(data, needs, 1)->fingerprint());
  EXPECT_EQ(fingerprints.size(), 4u);
}

}  // namespace
}  // namespace trireme
