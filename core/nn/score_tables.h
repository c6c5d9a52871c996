#pragma once

#include <optional>
#include <vector>

#include "core/autograd/functions/scored_attention.h"
#include "core/nn/layer_builder.h"

namespace trireme::nn {

/// The parameters of ScoreSpec, and ALiBi's slopes, of the heads that a rank has.
class ScoreTables {
 public:
  /// Of all heads, whole on this rank.
  explicit ScoreTables(const AttentionSpec& spec);

  /// Whether scores are products of queries and keys and no more.
  bool empty() const;
  void collect(std::vector<Parameter*>& parameters);
  ScoreParameters parameters();
  /// The projected embeddings of every distance, [T+S-1, H*K]; undefined without that term.
  Variable distances(Context& context, const AttentionArguments& arguments, DType dtype);

  /// Those that every head reads; those that have each head's rows by itself, in the order of heads. What is
  /// not there is skipped.
  std::vector<Parameter*> shared_by_heads();
  std::vector<Parameter*> of_each_head();
  void keep_slopes(int64_t first_head, int64_t num_heads);

 private:
  std::optional<Parameter> relative_keys_, relative_values_, position_weight_, content_bias_, position_bias_,
      additive_;
  std::vector<double> slopes_;
};

}  // namespace trireme::nn
