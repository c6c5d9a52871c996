#include "core/metrics/classification.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/metrics/perplexity.h"

namespace trireme {
namespace {

/// By the definitions, example by example.
ClassScore brute_force(const std::vector<int>& truth, const std::vector<int>& predicted, int cls) {
  double both = 0, said = 0, is = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    both += truth[i] == cls && predicted[i] == cls;
    said += predicted[i] == cls;
    is += truth[i] == cls;
  }
  ClassScore score;
  if (said > 0) score.precision = both / said;
  if (is > 0) score.recall = both / is;
  const double sum = score.precision + score.recall;
  if (sum > 0) score.f1 = 2 * score.precision * score.recall / sum;
  return score;
}

TEST(Classification, AgreesWithCountingByDefinition) {
  std::mt19937 random(1);
  for (const int classes : {2, 3, 7}) {
    std::vector<int> truth, predicted;
    ConfusionMatrix confusion(classes);
    int hits = 0;
    for (int i = 0; i < 200; ++i) {
      // The last class is never true, the first is favoured.
      truth.push_back(static_cast<int>(random() % static_cast<unsigned>(classes - 1)));
      predicted.push_back(random() % 2 ? truth.back()
                                       : static_cast<int>(random() % static_cast<unsigned>(classes)));
      hits += truth.back() == predicted.back();
      confusion.add(truth.back(), predicted.back());
    }
    const ClassificationScores scores = score(confusion);
    ClassScore mean;
    for (int cls = 0; cls < classes; ++cls) {
      const ClassScore expected = brute_force(truth, predicted, cls);
      const ClassScore& given = scores.classes[static_cast<size_t>(cls)];
      EXPECT_DOUBLE_EQ(given.precision, expected.precision);
      EXPECT_DOUBLE_EQ(given.recall, expected.recall);
      EXPECT_DOUBLE_EQ(given.f1, expected.f1);
      mean.precision += expected.precision / classes;
      mean.recall += expected.recall / classes;
      mean.f1 += expected.f1 / classes;
    }
    EXPECT_NEAR(scores.macro.precision, mean.precision, 1e-15);
    EXPECT_NEAR(scores.macro.recall, mean.recall, 1e-15);
    EXPECT_NEAR(scores.macro.f1, mean.f1, 1e-15);
    EXPECT_DOUBLE_EQ(scores.accuracy, hits / 200.0);
    EXPECT_DOUBLE_EQ(scores.micro.precision, scores.accuracy);
    EXPECT_DOUBLE_EQ(scores.micro.recall, scores.accuracy);
    EXPECT_DOUBLE_EQ(scores.micro.f1, scores.accuracy);
  }
}

TEST(Classification, TellsTrueFromPredicted) {
  ConfusionMatrix confusion(2);
  confusion.add(1, 1, 8);
  confusion.add(1, 0, 2);
  confusion.add(0, 1, 4);
  confusion.add(0, 0, 6);
  const ClassScore one = score(confusion).classes[1];
  EXPECT_DOUBLE_EQ(one.precision, 8.0 / 12);
  EXPECT_DOUBLE_EQ(one.recall, 0.8);
}

TEST(Classification, CountsWhatIsNotDefinedAsZero) {
  const ClassificationScores scores = score(ConfusionMatrix(3));
  EXPECT_EQ(scores.accuracy, 0);
  EXPECT_EQ(scores.macro.f1, 0);
  EXPECT_EQ(scores.micro.precision, 0);
}

TEST(Perplexity, IsTheExponentOfTheMeanLoss) {
  EXPECT_DOUBLE_EQ(perplexity(std::log(7.0)), 7);
}

}  // namespace
}  // namespace trireme
