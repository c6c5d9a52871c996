#include "core/metrics/classification.h"

#include "core/base/check.h"

namespace trireme {
namespace {

double quotient(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// 2 p r / (p + r) with p = hits / num_predicted and r = hits / num_true.
ClassScore score_of(int64_t hits, int64_t num_predicted, int64_t num_true) {
  return {quotient(hits, num_predicted), quotient(hits, num_true),
          quotient(2 * hits, num_predicted + num_true)};
}

}  // namespace

ConfusionMatrix::ConfusionMatrix(int64_t num_classes)
    : num_classes_(num_classes), counts_(static_cast<size_t>(num_classes * num_classes)) {}

void ConfusionMatrix::add(int64_t truth, int64_t predicted, int64_t count) {
  TRIREME_ASSERT(truth >= 0 && truth < num_classes_ && predicted >= 0 && predicted < num_classes_,
                 "a class that is not in the matrix");
  counts_[static_cast<size_t>(truth * num_classes_ + predicted)] += count;
}

int64_t ConfusionMatrix::count(int64_t truth, int64_t predicted) const {
  return counts_[static_cast<size_t>(truth * num_classes_ + predicted)];
}

ClassificationScores score(const ConfusionMatrix& confusion) {
  const int64_t classes = confusion.num_classes();
  ClassificationScores scores;
  int64_t total = 0, total_hits = 0;
  for (int64_t i = 0; i < classes; ++i) {
    int64_t num_predicted = 0, num_true = 0;
    for (int64_t other = 0; other < classes; ++other) {
      num_predicted += confusion.count(other, i);
      num_true += confusion.count(i, other);
    }
    const int64_t hits = confusion.count(i, i);
    const ClassScore& one = scores.classes.emplace_back(score_of(hits, num_predicted, num_true));
    scores.macro.precision += one.precision / static_cast<double>(classes);
    scores.macro.recall += one.recall / static_cast<double>(classes);
    scores.macro.f1 += one.f1 / static_cast<double>(classes);
    total += num_true;
    total_hits += hits;
  }
  scores.micro = score_of(total_hits, total, total);
  scores.accuracy = quotient(total_hits, total);
  return scores;
}

}  // namespace trireme
