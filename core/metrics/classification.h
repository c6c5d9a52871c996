#pragma once

#include <cstdint>
#include <vector>

namespace trireme {

/// How often class `truth` was predicted as class `predicted`; sums over batches and ranks.
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(int64_t num_classes);

  /// Both below num_classes.
  void add(int64_t truth, int64_t predicted, int64_t count = 1);
  int64_t num_classes() const { return num_classes_; }
  int64_t count(int64_t truth, int64_t predicted) const;
  /// Row by row, a row for each true class: what ranks add up.
  std::vector<int64_t>& counts() { return counts_; }

 private:
  int64_t num_classes_;
  std::vector<int64_t> counts_;
};

struct ClassScore {
  double precision = 0;  ///< of what was predicted as the class, the part that is of it
  double recall = 0;     ///< of what is of the class, the part that was predicted as it
  double f1 = 0;         ///< 2 precision recall / (precision + recall)
};

/// A quotient with nothing below the line counts as 0 (as in scikit-learn).
struct ClassificationScores {
  double accuracy = 0;
  std::vector<ClassScore> classes;
  ClassScore macro;  ///< means over all classes; its f1 is the mean of theirs
  ClassScore micro;  ///< of the summed counts: each is the accuracy where every example has one class
};

ClassificationScores score(const ConfusionMatrix& confusion);

}  // namespace trireme
