#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/nn/layer_builder.h"
#include "core/nn/module.h"
#include "core/optim/parameter_store.h"
#include "parallel/comm/communicator.h"

namespace trireme::testing {

/// Logical tensors put together from the parts that ranks hold.
class Merged {
 public:
  /// What every rank holds whole: fails the test where two ranks gave different bits.
  void equal(const std::string& name, const std::vector<double>& values);
  /// What a rank adds to the sum of all, which is made in rank order.
  void add(const std::string& name, int rank, std::vector<double> values);
  std::map<std::string, std::vector<double>> tensors() const;

 private:
  std::mutex mutex_;
  std::map<std::string, std::vector<double>> equal_;
  std::map<std::string, std::map<int, std::vector<double>>> terms_;
};

/// One rank of a run on plain layers (one rank) or split ones.
struct SplitRank {
  Context& context;
  Communicator& group;
  nn::LayerBuilder& builder;
  Precision precision;
  Merged& merged;

  DType dtype() const { return PrecisionConfig{.dtype = precision}.compute(); }
  /// The first values of the parameters, from seed 1, biases and norms included; gradients are empty.
  std::unique_ptr<ParameterStore> make_store(const std::vector<Parameter*>& parameters) const;
  /// Puts the gradients of all pieces into `merged`: partial ones add up.
  void merge_gradients(const std::vector<Parameter*>& parameters) const;
  /// Adds `part`, from (row, col) on, to a tensor [rows, cols]; once for each call and name.
  void merge_box(const std::string& name, int64_t rows, int64_t cols, int64_t row, int64_t col,
                 const Tensor& part) const;
  /// This rank's rows of a matrix of the residual stream, and back.
  Tensor my_rows(const Tensor& matrix) const;
  void merge_rows(const std::string& name, const Tensor& mine) const;
};

struct Split {
  int num_ranks = 1;
  bool sequence_parallel = false;
  Precision precision = Precision::kFp64;
};
using SplitBody = std::function<void(SplitRank&)>;

/// Plain layers on one rank.
std::map<std::string, std::vector<double>> run_plain(Precision precision, const SplitBody& body);
/// TensorLayerBuilder's on thread ranks.
std::map<std::string, std::vector<double>> run_split(const Split& split, const SplitBody& body);

/// The largest error of a tensor, max|a-b| / max(max|b|, 1e-3 x the largest max|b| of all), and its name.
/// Fails the test when the names differ.
struct SplitError {
  double error = 0;
  std::string where;
};
SplitError compare(const std::map<std::string, std::vector<double>>& given,
                   const std::map<std::string, std::vector<double>>& expected);

/// One and more ranks, without and with sequence parallelism.
std::vector<Split> all_splits(Precision precision);
std::string describe(const Split& split);

}  // namespace trireme::testing
