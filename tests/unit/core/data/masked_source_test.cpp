#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "core/data/sample_source.h"
#include "core/data/sentence_spans.h"
#include "tests/support/run_program.h"
#include "tests/unit/core/data/data_files.h"

namespace trireme {
namespace {

using testing::Document;
using ::testing::HasSubstr;
using testing::Ids;
using testing::message_of;

constexpr int32_t kCls = 1, kSep = 2, kMask = 3, kFirst = 10;

/// A sample, with its tokens as they were before masking.
struct Seen {
  Ids tokens, targets, original, a, b;
  int32_t label = -1;
};

/// Documents whose tokens count up over the whole file, from kFirst; lengths[document][sentence].
std::vector<Document> counting_documents(const std::vector<std::vector<int>>& lengths) {
  std::vector<Document> documents;
  int32_t next = kFirst;
  for (const auto& sentences : lengths) {
    documents.emplace_back();
    for (const int length : sentences) {
      documents.back().emplace_back(static_cast<size_t>(length));
      for (int32_t& token : documents.back().back()) token = next++;
    }
  }
  return documents;
}

/// `count` documents of `sentences` sentences of one token each.
std::vector<Document> single_token_documents(int count, int sentences) {
  return counting_documents(std::vector<std::vector<int>>(
      static_cast<size_t>(count), std::vector<int>(static_cast<size_t>(sentences), 1)));
}

void expect_rate(int64_t hits, int64_t trials, double rate, const char* what) {
  const double sigma = std::sqrt(rate * (1 - rate) / static_cast<double>(trials));
  EXPECT_NEAR(static_cast<double>(hits) / static_cast<double>(trials), rate, 4 * sigma) << what;
}

class MaskedSourceTest : public ::testing::Test {
 protected:
  DataConfig config(const std::vector<Document>& documents, const std::string& name = "a") {
    DataConfig config;
    config.data_path = {testing::write_documents((folder_.path() / name).string(), documents)};
    config.validation_fraction = 0;
    config.seq_length = 32;
    return config;
  }
  std::unique_ptr<SampleSource> source(const DataConfig& config, uint64_t seed = 5) {
    return make_training_source(config, needs_, seed);
  }
  std::vector<Seen> samples(const SampleSource& source, int64_t begin, int64_t end) {
    std::vector<int64_t> numbers(static_cast<size_t>(end - begin));
    std::iota(numbers.begin(), numbers.end(), begin);
    const Batch batch = source.make_batch(allocator_, numbers);
    std::vector<Seen> all;
    int64_t num_targets = 0;
    for (int64_t row = 0; row < batch.num_samples(); ++row) {
      all.push_back(read(batch, row));
      num_targets += std::count_if(all.back().targets.begin(), all.back().targets.end(),
                                   [](int32_t t) { return t >= 0; });
    }
    EXPECT_EQ(batch.num_targets[LossTerm::kTokens], num_targets);
    EXPECT_EQ(batch.num_targets[LossTerm::kSamples], needs_.next_sentence ? batch.num_samples() : 0);
    return all;
  }
  /// Checks what is true of every sample.
  Seen read(const Batch& batch, int64_t row) const {
    const auto length = static_cast<size_t>(batch.lengths.data<int32_t>()[row]);
    Seen seen;
    seen.tokens = testing::row_of(batch.tokens, row);
    seen.targets = testing::row_of(batch.targets, row);
    EXPECT_TRUE(std::all_of(seen.targets.begin() + static_cast<int64_t>(length), seen.targets.end(),
                            [](int32_t target) { return target == kNoTarget; }));
    seen.tokens.resize(length);
    seen.targets.resize(length);
    if (batch.labels.defined()) seen.label = batch.labels.data<int32_t>()[row];
    seen.original = seen.tokens;
    for (size_t i = 0; i < length; ++i)
      if (seen.targets[i] >= 0) seen.original[i] = seen.targets[i];
    const Ids segments = testing::row_of(batch.segments, row);
    size_t seps = 0;
    for (size_t i = 0; i < length; ++i) {
      const int32_t token = seen.original[i];
      EXPECT_EQ(segments[i], static_cast<int32_t>(seps));
      EXPECT_EQ(token == kCls, i == 0);
      if (token == kSep) ++seps;
      if (token == kCls || token == kSep) {
        EXPECT_EQ(seen.targets[i], kNoTarget);
        EXPECT_EQ(seen.tokens[i], token);
      } else {
        (seps == 0 ? seen.a : seen.b).push_back(token);
      }
    }
    EXPECT_EQ(seen.original.back(), kSep);
    EXPECT_EQ(seps, needs_.next_sentence ? 2u : 1u);
    return seen;
  }

  testing::TemporaryFolder folder_;
  Allocator allocator_;
  SampleNeeds needs_{.objective = Objective::kMasked,
                     .vocab_size = testing::kVocabSize,
                     .next_sentence = true,
                     .roles = {.num_tokens = 900, .cls = kCls, .sep = kSep, .mask = kMask}};
};

TEST_F(MaskedSourceTest, TheSecondSegmentFollowsTheFirstOrComesFromAnotherDocument) {
  const auto source = this->source(config(single_token_documents(9, 50)));
  int64_t followed = 0, random = 0;
  for (const Seen& seen : samples(*source, 0, 400)) {
    ASSERT_FALSE(seen.a.empty());
    ASSERT_FALSE(seen.b.empty());
    EXPECT_LE(seen.tokens.size(), 32u);
    Ids expected(seen.a.size());
    std::iota(expected.begin(), expected.end(), seen.a[0]);
    EXPECT_EQ(seen.a, expected);
    expected.resize(seen.b.size());
    const bool next = seen.label == 0;
    std::iota(expected.begin(), expected.end(), next ? seen.a.back() + 1 : seen.b[0]);
    EXPECT_EQ(seen.b, expected);
    const auto document = [](int32_t token) { return (token - kFirst) / 50; };
    EXPECT_EQ(document(seen.b.back()), document(seen.b[0]));
    EXPECT_EQ(document(seen.b[0]) == document(seen.a[0]), next);
    (next ? followed : random) += 1;
  }
  EXPECT_GT(followed, 100);
  EXPECT_GT(random, 100);
}

TEST_F(MaskedSourceTest, EveryPassUsesEverySentenceOnce) {
  for (const bool next_sentence : {true, false}) {
    needs_.next_sentence = next_sentence;
    const auto source = this->source(config(single_token_documents(7, 40)));
    int64_t sample = 0;
    for (int pass = 0; pass < 3; ++pass) {
      std::set<int32_t> used;
      while (used.size() < 7 * 40) {
        const Seen seen = samples(*source, sample, sample + 1)[0];
        for (const int32_t token : seen.a) ASSERT_TRUE(used.insert(token).second) << "sample " << sample;
        if (seen.label == 0) {
          for (const int32_t token : seen.b) ASSERT_TRUE(used.insert(token).second) << "sample " << sample;
        }
        ++sample;
      }
      if (pass == 0) {
        EXPECT_EQ(sample, source->num_samples());
      }
    }
  }
}

TEST_F(MaskedSourceTest, EveryPassCutsAndMasksAnewInAnotherOrder) {
  const auto source = this->source(config(single_token_documents(7, 40)));
  const int64_t epoch = source->num_samples();
  const auto all = samples(*source, 0, 2 * epoch);
  int64_t same_place = 0, same_sample = 0, same_cut = 0;
  for (int64_t i = 0; i < epoch; ++i) {
    same_place += all[i].original == all[epoch + i].original ? 1 : 0;
    for (int64_t j = 0; j < epoch; ++j) {
      same_sample += all[i].tokens == all[epoch + j].tokens ? 1 : 0;
      same_cut += all[i].a == all[epoch + j].a ? 1 : 0;
    }
  }
  EXPECT_LT(same_place, 3);
  EXPECT_LT(same_sample, 3);
  EXPECT_LT(same_cut, epoch / 4);
}

TEST_F(MaskedSourceTest, DependsOnSeedAndSampleNumberOnly) {
  const DataConfig data = config(single_token_documents(7, 40));
  const auto tokens = [&](const SampleSource& source, int64_t begin, int64_t end) {
    std::vector<Ids> all;
    for (const Seen& seen : samples(source, begin, end)) all.push_back(seen.tokens);
    return all;
  };
  const auto first = source(data), again = source(data);
  const auto usual = tokens(*first, 0, 60);
  EXPECT_EQ(tokens(*again, 40, 60), (std::vector<Ids>(usual.begin() + 40, usual.end())));
  EXPECT_EQ(tokens(*again, 0, 7), (std::vector<Ids>(usual.begin(), usual.begin() + 7)));
  EXPECT_EQ(tokens(*source(data), 50, 51)[0], usual[50]);
  EXPECT_NE(tokens(*source(data, 6), 0, 60), usual);
}

TEST_F(MaskedSourceTest, PredictsTheShareOfTokensThatIsAskedFor) {
  DataConfig data = config(single_token_documents(9, 60));
  const auto expect_count = [&](double prob, int64_t most) {
    data.mask_prob = prob;
    data.max_predictions_per_seq = most;
    for (const Seen& seen : samples(*source(data), 0, 200)) {
      int64_t expected =
          prob == 0 ? 0 : std::max<int64_t>(1, std::lrint(prob * static_cast<double>(seen.tokens.size())));
      if (most > 0) expected = std::min(expected, most);
      EXPECT_EQ(std::count_if(seen.targets.begin(), seen.targets.end(), [](int32_t t) { return t >= 0; }),
                expected);
    }
  };
  expect_count(0.15, 0);
  expect_count(0.15, 2);
  expect_count(0.4, 0);
  expect_count(0, 0);
}

TEST_F(MaskedSourceTest, MasksEightyReplacesTenAndKeepsTenPercent) {
  DataConfig data = config(single_token_documents(9, 60));
  int64_t masked = 0, kept = 0, replaced = 0, low = 0;
  std::vector<int64_t> by_position(32), rows(32);
  for (const Seen& seen : samples(*source(data), 0, 6000))
    for (size_t i = 0; i < seen.tokens.size(); ++i) {
      const bool own = seen.original[i] == kCls || seen.original[i] == kSep;
      if (seen.tokens.size() == 32 && !own) ++rows[i];
      if (seen.targets[i] < 0) continue;
      if (seen.tokens.size() == 32) ++by_position[i];
      if (seen.tokens[i] == kMask) {
        ++masked;
      } else if (seen.tokens[i] == seen.targets[i]) {
        ++kept;
      } else {
        ++replaced;
        low += seen.tokens[i] < 450 ? 1 : 0;
        EXPECT_LT(seen.tokens[i], 900);
      }
    }
  const int64_t all = masked + kept + replaced;
  EXPECT_GT(all, 20000);
  expect_rate(masked, all, 0.8 + 0.1 / 900, "masked");
  expect_rate(kept, all, 0.1 + 0.1 / 900, "kept");
  expect_rate(replaced, all, 0.1 * (1 - 2.0 / 900), "replaced");
  expect_rate(low, replaced, 0.5, "random tokens in the lower half");
  for (size_t i = 1; i + 1 < 32; ++i)
    expect_rate(by_position[i], rows[i], 5.0 / 29, "predicted, by position");
}

TEST_F(MaskedSourceTest, WholeWordMaskTakesWordsWhole) {
  needs_.roles.continues_word.assign(testing::kVocabSize, 0);
  for (int32_t id = kFirst; id < testing::kVocabSize; ++id)  // words of 1, 2 and 3 pieces
    needs_.roles.continues_word[static_cast<size_t>(id)] = id % 6 == 1 || id % 6 == 3 || id % 6 == 4 ? 1 : 0;
  DataConfig data = config(single_token_documents(9, 60));
  const auto divided_words = [&] {
    int64_t divided = 0;
    int64_t predicted = 0, tokens = 0;
    for (const Seen& seen : samples(*source(data), 0, 500)) {
      tokens += static_cast<int64_t>(seen.tokens.size());
      for (size_t i = 1; i < seen.tokens.size(); ++i) {
        predicted += seen.targets[i] >= 0 ? 1 : 0;
        const bool goes_on = needs_.roles.continues_word[static_cast<size_t>(seen.original[i])] != 0;
        const bool inside = seen.original[i - 1] != kCls && seen.original[i - 1] != kSep;
        if (goes_on && inside && (seen.targets[i] >= 0) != (seen.targets[i - 1] >= 0)) ++divided;
      }
    }
    EXPECT_LE(predicted, tokens * 18 / 100);
    EXPECT_GE(predicted, tokens * 13 / 100);
    return divided;
  };
  EXPECT_GT(divided_words(), 100);
  data.whole_word_mask = true;
  EXPECT_EQ(divided_words(), 0);
}

TEST_F(MaskedSourceTest, HidesTheTokensThatWouldBeMaskedBehindTheOthersOfTheirSample) {
  DataConfig data = config(single_token_documents(9, 60));
  std::vector<int64_t> numbers(100);
  std::iota(numbers.begin(), numbers.end(), 0);
  const Batch with = source(data)->make_batch(allocator_, numbers);
  data.mask_by_attention = true;
  const Batch batch = source(data)->make_batch(allocator_, numbers);
  int64_t num_hidden = 0;
  for (int64_t row = 0; row < batch.num_samples(); ++row) {
    const int64_t length = batch.lengths.data<int32_t>()[row];
    ASSERT_EQ(length, with.lengths.data<int32_t>()[row]);
    const int32_t* tokens = batch.tokens.row<int32_t>(row);
    EXPECT_TRUE(
        std::is_partitioned(tokens, tokens + length, [](int32_t token) { return token != kHiddenToken; }));
    for (int64_t t = 0; t < length; ++t) {
      const int32_t at = batch.positions.row<int32_t>(row)[t], token = with.tokens.row<int32_t>(row)[at];
      EXPECT_EQ(tokens[t], token == kMask ? kHiddenToken : token);
      EXPECT_EQ(batch.targets.row<int32_t>(row)[t], with.targets.row<int32_t>(row)[at]);
      EXPECT_EQ(batch.segments.row<int32_t>(row)[t], with.segments.row<int32_t>(row)[at]);
      num_hidden += tokens[t] == kHiddenToken ? 1 : 0;
    }
    EXPECT_TRUE(std::is_permutation(with.positions.row<int32_t>(row),
                                    with.positions.row<int32_t>(row) + length,
                                    batch.positions.row<int32_t>(row)));
  }
  EXPECT_GT(num_hidden, 200);
}

TEST_F(MaskedSourceTest, HidesNoTokensOfModelsThatSeeTheirOrder) {
  DataConfig data = config(single_token_documents(9, 60));
  data.mask_by_attention = true;
  needs_.reads_order = true;
  EXPECT_THAT(message_of([&] { source(data); }),
              HasSubstr("data.mask_by_attention: given true, expected false: hidden tokens stand behind"));
}

TEST_F(MaskedSourceTest, TakesTokensFromEitherEndOfTheLongerSegment) {
  const auto source = this->source(config(counting_documents({{90, 90}, {90, 90}, {90, 90}})));
  int64_t front = 0, back = 0;
  for (const Seen& seen : samples(*source, 0, 300)) {
    EXPECT_EQ(seen.tokens.size(), 32u);
    EXPECT_EQ(seen.a.size(), 15u);  // 29 tokens: b loses where both are equal
    EXPECT_EQ(seen.b.size(), 14u);
    EXPECT_EQ(seen.a.back() - seen.a[0], 14);
    const int32_t lost_before = (seen.a[0] - kFirst) % 90;
    front += lost_before;
    back += 75 - lost_before;
  }
  expect_rate(front, front + back, 0.5, "tokens lost in front");
}

TEST_F(MaskedSourceTest, ATextThatSpellsSpecialTokensDoesNotPassForOne) {
  const Document document = {{10, kSep, 11}, {kCls, 12}, {kSep, 13, 14}};
  for (const Seen& seen : samples(*source(config({document, document})), 0, 50)) EXPECT_FALSE(seen.a.empty());
}

TEST_F(MaskedSourceTest, ReadsOneSegmentWithoutNextSentence) {
  needs_.next_sentence = false;
  DataConfig data = config(single_token_documents(1, 13 * 30));
  data.short_seq_prob = 0;
  for (const Seen& seen : samples(*source(data), 0, 13)) EXPECT_EQ(seen.a.size(), 30u);
}

TEST_F(MaskedSourceTest, ValidatesOnTheLastDocumentsInTheirOrderAndAlwaysAlike) {
  DataConfig data = config(single_token_documents(10, 40));
  data.validation_fraction = 0.3;
  const auto training = source(data);
  const auto validation = make_validation_source(data, needs_, 5),
             again = make_validation_source(data, needs_, 5);
  for (const Seen& seen : samples(*training, 0, 200)) EXPECT_LT(seen.a.back(), kFirst + 7 * 40);
  const auto all = samples(*validation, 0, validation->num_samples());
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_GE(all[i].a[0], kFirst + 7 * 40);
    EXPECT_GT(all[i].a[0], i > 0 ? all[i - 1].a[0] : 0);
    EXPECT_EQ(samples(*again, static_cast<int64_t>(i), static_cast<int64_t>(i) + 1)[0].tokens, all[i].tokens);
  }
}

TEST_F(MaskedSourceTest, BlendsFilesAndPairsWithinAFile) {
  DataConfig data = config(single_token_documents(4, 30));
  std::vector<Document> other(4, Document(30, Ids{500}));
  data.data_path.push_back(testing::write_documents((folder_.path() / "b").string(), other));
  data.data_weights = {1, 3};
  int64_t from_other = 0;
  for (const Seen& seen : samples(*source(data), 0, 200)) {
    EXPECT_EQ(seen.a[0] == 500, seen.b[0] == 500);
    from_other += seen.a[0] == 500 ? 1 : 0;
  }
  EXPECT_EQ(from_other, 150);
}

TEST_F(MaskedSourceTest, FingerprintsFollowWhatDecidesTheSamples) {
  DataConfig data = config(single_token_documents(9, 60));
  const std::string usual = source(data)->fingerprint();
  const auto changed = [&](const std::function<void(DataConfig&, SampleNeeds&)>& change) {
    DataConfig other = data;
    SampleNeeds needs = needs_;
    change(other, needs);
    return make_training_source(other, needs, 5)->fingerprint() != usual;
  };
  EXPECT_FALSE(changed([](auto&, auto&) {}));
  EXPECT_TRUE(changed([](auto& data, auto&) { data.mask_prob = 0.2; }));
  EXPECT_TRUE(changed([](auto& data, auto&) { data.max_predictions_per_seq = 3; }));
  EXPECT_TRUE(changed([](auto& data, auto& needs) {
    data.whole_word_mask = true;
    needs.roles.continues_word.assign(1000, 0);
  }));
  EXPECT_TRUE(changed([](auto& data, auto&) { data.mask_by_attention = true; }));
  EXPECT_TRUE(changed([](auto& data, auto&) { data.short_seq_prob = 0.2; }));
  EXPECT_TRUE(changed([](auto& data, auto&) { data.seq_length = 31; }));
  EXPECT_TRUE(changed([](auto& data, auto&) { data.validation_fraction = 0.2; }));
  EXPECT_TRUE(changed([](auto&, auto& needs) { needs.next_sentence = false; }));
  EXPECT_TRUE(changed([](auto&, auto& needs) { needs.roles.cls = 7; }));
  EXPECT_TRUE(changed([](auto&, auto& needs) { needs.roles.sep = 7; }));
  EXPECT_TRUE(changed([](auto&, auto& needs) { needs.roles.mask = 7; }));
  EXPECT_TRUE(changed([](auto&, auto& needs) { needs.roles.num_tokens = 7; }));
  EXPECT_FALSE(changed([](auto& data, auto&) { data.pad_to_seq_length = true; }));
  EXPECT_NE(source(data, 6)->fingerprint(), usual);
}

TEST_F(MaskedSourceTest, SaysWhatIsWrong) {
  const auto error = [&](const std::vector<Document>& documents,
                         const std::function<void(DataConfig&)>& change) {
    DataConfig data = config(documents);
    change(data);
    return message_of([&] { samples(*source(data), 0, 4); });
  };
  const auto nothing = [](DataConfig&) {};
  const std::vector<Document> good = single_token_documents(4, 10);
  EXPECT_EQ(error(good, nothing), "accepted");
  EXPECT_THAT(error({{{10}, {}, {11}}, {{12}, {13}}}, nothing), HasSubstr("a.idx: sequence 1 has no tokens"));
  EXPECT_THAT(error({{{10}, {11}}}, nothing), HasSubstr("a.idx: 1 document, expected at least 2"));
  EXPECT_THAT(error({{{10}}, {{11}}}, nothing), HasSubstr("no document has more than one sequence"));
  EXPECT_THAT(error({{}, {}}, nothing), HasSubstr("a: has no document for training"));
  EXPECT_THAT(error(good, [](DataConfig& data) { data.seq_length = 4; }),
              HasSubstr("data.seq_length: given 4, expected at least 5"));
  EXPECT_THAT(error(good, [](DataConfig& data) { data.length_bucket = 4; }),
              HasSubstr("data.length_bucket: given 4, expected nothing but for translation"));
  EXPECT_THAT(error(good, [](DataConfig& data) { data.document_mask = true; }),
              HasSubstr("data.document_mask"));
  needs_.vocab_size = 20;
  EXPECT_THAT(error(good, nothing), HasSubstr("outside the vocabulary of 20"));
}

TEST(SentenceCutter, DrawsShortTargetsRandomNextsAndWhereToDivide) {
  const testing::TemporaryFolder folder;
  const IndexedDataset dataset(
      testing::write_documents((folder.path() / "a").string(), single_token_documents(9, 60)));
  const SentenceCutter cutter(dataset, {0, 9},
                              {.max_tokens = 8, .short_seq_prob = 0.3, .next_sentence = true});
  int64_t all = 0, is_short = 0, random = 0, full = 0;
  std::vector<int64_t> num_a(8);
  for (uint64_t pass = 0; pass < 200; ++pass)
    for (const SentenceSpan& span : cutter.cut(RandomKey::make(1, RandomPurpose::kDataOrder, pass, 0))) {
      ++all;
      is_short += span.target_length < 8 ? 1 : 0;
      EXPECT_GE(span.target_length, 2);
      EXPECT_LE(span.num_a + span.num_b, span.target_length);
      EXPECT_EQ(span.num_b == 0, span.random_next);
      if (span.target_length < 8 || cutter.end_sentence(span.document) - span.first < 8) continue;
      ++full;
      random += span.random_next ? 1 : 0;
      ++num_a[static_cast<size_t>(span.num_a)];
    }
  expect_rate(is_short, all, 0.3 * 6 / 7, "short");
  expect_rate(random, full, 0.5, "random");
  for (size_t i = 1; i < 8; ++i) expect_rate(num_a[i], full, 1.0 / 7, "sentences of A");
}

}  // namespace
}  // namespace trireme
